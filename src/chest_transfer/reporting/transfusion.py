"""How much of a network has to be pretrained: scores by the number of blocks that are (Raghu et al. 2019)."""

import pandas as pd

from chest_transfer.evaluation.comparisons import CONTROL
from chest_transfer.settings import Settings

COLUMNS = ("model", "blocks", "auc", "auc_low", "auc_high")


def transfusion(scores: dict[str, dict], settings: Settings) -> pd.DataFrame:
    """Return the test AUC of each regime by the number of pretrained blocks: none, those of `partial_weights`, and all.

    Args:
        scores: dict, the scores of each model of a dataset by key.
        settings: Settings of the experiment.

    Returns:
        Table with the columns `COLUMNS`, the fewest blocks first; no rows where no weights are partial.
    """
    rows = []
    for source in dict.fromkeys(part.weights for part in settings.partial_weights.values()):
        blocks = {name: str(part.blocks) for name, part in settings.partial_weights.items() if part.weights == source}
        starts = {CONTROL: "0", **dict(sorted(blocks.items(), key=lambda item: int(item[1]))), source: "all"}
        for regime in dict.fromkeys(key.split("-")[0] for key in scores):
            known = {start: scores[f"{regime}-{start}"] for start in starts if f"{regime}-{start}" in scores}
            if known.keys() & blocks.keys():
                rows += [
                    {"model": f"{regime}, {source}", "blocks": starts[start]} | {key: of[key] for key in COLUMNS[2:]}
                    for start, of in known.items()
                ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
