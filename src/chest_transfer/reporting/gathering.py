"""Everything that a report tells, read from the tracked metrics of one experiment; no model is loaded."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from chest_transfer.errors import ChestTransferError
from chest_transfer.reporting.cautions import Caution, of_dataset, of_overlap
from chest_transfer.settings import Settings

PLOTS = ("roc", "precision_recall", "reliability", "confusion", "history", "counts", "brightness", "sizes", "patients")
WAYS = {
    "probe": "a head on the frozen network",
    "finetune": "fine-tuned",
    "train": "the whole network trained",
    "transfer": "trained on from another dataset",
}
STARTS = {"none": "random weights", "phantom": "simulated patients", "imagenet": "ImageNet"}


@dataclass
class Dataset:
    """One dataset of the experiment: tracked metrics as DVC keeps them, tables to draw, pictures to show."""

    name: str
    data: dict
    scores: dict[str, dict]
    gains: dict[str, dict]
    explained: dict[str, dict]
    comparisons: pd.DataFrame
    subgroups: pd.DataFrame
    plots: dict[str, pd.DataFrame]
    sheets: dict[str, Path]
    pictures: dict[str, Path]
    cautions: list[Caution] = field(default_factory=list)

    @property
    def answers(self) -> list[str]:
        """What each pretrained start bought, a sentence each, the whole network's first."""
        order = [regime for regime in ("train", "finetune", "transfer", "probe") if regime in self.gains]
        return [
            gain_sentence(self.name, regime, start, gain, self.scores)
            for regime in order
            for start, gain in self.gains[regime].items()
            if gain["auc"] is not None
        ]


def gathered(settings: Settings, folder: Path = Path()) -> tuple[list[Dataset], list[Caution]]:
    """The datasets of an experiment, and what must be known of it, the serious first.

    Raises:
        ChestTransferError: an evaluation is missing.
    """
    datasets = [_dataset(folder, name, settings.model) for name in settings.datasets]
    found = []
    if settings.source == "phantom" and not settings.sources:
        found.append(Caution(True, "The radiographs are simulated: these figures say nothing about patients."))
    for dataset in datasets:
        dataset.cautions = of_dataset(dataset.name, dataset.data, dataset.scores, dataset.explained)
        found += dataset.cautions
    overlap, ours = pd.read_csv(folder / "metrics/overlap.csv"), settings.datasets
    found += of_overlap(overlap[overlap["dataset"].isin(ours) & overlap["other"].isin(ours)])
    text = f"One training seed ({settings.seed}): intervals are over test patients, not over other seeds."
    found.append(Caution(False, text))
    return datasets, sorted(found, key=lambda caution: not caution.serious)


def _dataset(folder: Path, name: str, model: str) -> Dataset:
    metrics = folder / "metrics"
    detail = _json(metrics / f"detail/{name}.json")
    scores = {f"{regime}-{start}": found for regime, starts in detail.items() for start, found in starts.items()}
    plots = metrics / "plots" / name
    sheets, explained = folder / "data/pictures" / name / model, metrics / "explained" / name
    made = [key for key in scores if (explained / f"{key}.json").exists()]
    pictures = folder / "data/pictures" / name
    return Dataset(
        name=name,
        data=_json(metrics / f"data/{name}.json"),
        scores=scores,
        gains=_json(metrics / f"gain/{name}.json"),
        explained={key: _json(explained / f"{key}.json") for key in made},
        comparisons=pd.read_csv(metrics / f"comparisons/{name}.csv"),
        subgroups=pd.read_csv(metrics / f"subgroups/{name}.csv"),
        plots={plot: pd.read_csv(plots / f"{plot}.csv") for plot in PLOTS},
        sheets={key: sheets / f"{key}.png" for key in made if (sheets / f"{key}.png").exists()},
        pictures={path.stem: path for path in sorted(pictures.glob("*.png"))},
    )


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ChestTransferError(f"no metrics at '{path}'; run: dvc repro") from None


def gain_sentence(dataset: str, regime: str, start: str, gain: dict, scores: dict[str, dict]) -> str:
    """What one start bought, and whether that can be claimed."""
    ours, base = scores[f"{regime}-{start}"]["auc"], scores[gain["against"]]["auc"]
    source = f"a model of {start}" if regime == "transfer" else STARTS.get(start, start)
    if gain["auc_low"] > 0:
        verdict = f"{source} helped"
    elif gain["auc_high"] < 0:
        verdict = f"{source} did harm"
    else:
        verdict = f"no gain from {source} can be claimed"
    bounds = f"{signed(gain['auc'])}, 95 % interval {signed(gain['auc_low'])} to {signed(gain['auc_high'])}"
    return (
        f"{dataset}, {WAYS[regime]}: {verdict}. Test AUC {ours:.3f} against {base:.3f} from random weights ({bounds})."
    )


def signed(value: float) -> str:
    """`+0.036`, with a true minus sign."""
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")
