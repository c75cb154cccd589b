"""Whether the out-of-distribution score of each dataset notices the radiographs of the others."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from chest_transfer.data.arrays import read_npz
from chest_transfer.evaluation.out_of_distribution import OutOfDistribution

COLUMNS = ("dataset", "other", "auc", "flagged", "false_alarms")


def told_apart(distributions: dict[str, Path], thumbnails: dict[str, Path]) -> pd.DataFrame:
    """Return how well the score of each dataset tells another's test radiographs from those of its own.

    Args:
        distributions: dict of Path, the out-of-distribution score of each dataset.
        thumbnails: dict of Path, small test radiographs of each dataset, as `profile` writes them.

    Returns:
        DataFrame with a row for each ordered pair: dataset (whose score it is), other, auc (0.5: it tells nothing),
        flagged (the share of the other's radiographs that the threshold calls unlike training), false_alarms (that of
        its own).
    """
    images = {name: read_npz(path)["images"] for name, path in thumbnails.items()}
    rows = []
    for name, path in distributions.items():
        distribution = OutOfDistribution(**read_npz(path))
        own, is_own_flagged = distribution.score(images[name]), distribution.is_outside(images[name])
        for other in images:
            if other != name:
                scores = np.concatenate([own, distribution.score(images[other])])
                finite = np.where(np.isfinite(scores), scores, np.finfo(np.float64).max)
                area = roc_auc_score(np.arange(len(scores)) >= len(own), finite)
                flagged = distribution.is_outside(images[other]).mean()
                rows.append((name, other, round(area, 6), round(flagged, 6), round(is_own_flagged.mean(), 6)))
    return pd.DataFrame(rows, columns=list(COLUMNS))
