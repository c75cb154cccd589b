"""docs/first-run.png: what the first run makes - simulated radiographs, learning curves, ROC and scores.

    python -m docs.first_run

Reads what `dvc repro` left in data/, metrics/ and models/. The same results give the same bytes.
"""

import json
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from chest_transfer.data.arrays import open_arrays
from chest_transfer.settings import read_settings

COLORS = ("#1f6f8b", "#d1495b", "#e0a458", "#5b8e7d")
INK = "#222222"
STYLES = {"none": "--", "phantom": "-"}


def radiographs_of(axes, dataset: str, title: str) -> None:
    """Two radiographs of each class, side by side."""
    test = open_arrays(f"data/arrays/{dataset}/test.npz")
    for column, (label, number) in enumerate((label, number) for label in (0, 1) for number in (0, 1)):
        row = np.flatnonzero(test.labels == label)[3 * number + 1]
        axes[column].imshow(test.images[row], cmap="gray", vmin=0, vmax=255)
        axes[column].set_title(str(test.classes[label]).capitalize(), fontsize=10, color=INK)
        axes[column].set_axis_off()
    axes[0].text(-0.12, 0.5, title, transform=axes[0].transAxes, rotation=90, va="center", ha="center", fontsize=11)


def main() -> None:
    settings = read_settings()
    datasets = settings.datasets[:2]
    plt.rcParams |= {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "text.color": INK}
    figure = plt.figure(figsize=(12, 8.4), layout="constrained")
    figure.suptitle(f"First run: {settings.model} on simulated radiographs", fontsize=14, fontweight="bold")
    rows = figure.subfigures(2, 1, height_ratios=(1.35, 1))
    grid = rows[0].subplots(2, 4)
    curves, roc, table = rows[1].subplots(1, 3, width_ratios=(1.1, 0.9, 1.2))
    cells = []
    for number, dataset in enumerate(datasets):
        radiographs_of(grid[number], dataset, dataset.capitalize())
        history = pd.read_csv(f"metrics/plots/{dataset}/history.csv")
        for weights in settings.train.weights:
            line = history[history["model"] == f"train-{weights} validation"]
            label = f"{dataset}, {weights}"
            curves.plot(line["epoch"], line["cross_entropy"], STYLES[weights], color=COLORS[number], label=label)
        points = pd.read_csv(f"metrics/plots/{dataset}/roc.csv")
        scores = json.loads(Path(f"metrics/detail/{dataset}.json").read_text())["train"]
        for weights in settings.train.weights:
            line = points[points["model"] == f"train-{weights}"]
            rates = line["false_positive_rate"], line["true_positive_rate"]
            roc.plot(*rates, STYLES[weights], color=COLORS[number])
            kept = [f"{scores[weights][key]:.3f}" for key in ("auc", "accuracy", "sensitivity", "specificity")]
            cells.append([f"{dataset}\ntrain.{weights}", *kept])
    curves.set(xlabel="epoch", ylabel="cross-entropy", title="Validation cross-entropy, by starting weights")
    curves.xaxis.get_major_locator().set_params(integer=True)
    curves.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncol=2)
    roc.plot([0, 1], [0, 1], ":", color="#999999", linewidth=1)
    roc.set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC on test patients", aspect="equal")
    table.set_axis_off()
    table.set_title("Scores on test patients")
    columns = ["", "AUC", "accuracy", "sensitivity", "specificity"]
    drawn = table.table(
        cells, colLabels=columns, loc="upper center", cellLoc="center", colWidths=(0.3, 0.15, 0.2, 0.22, 0.22)
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(9)
    drawn.scale(1, 2.4)
    for cell in drawn.get_celld().values():
        cell.set_edgecolor("#dddddd")
    figure.savefig("docs/first-run.png", dpi=110, metadata={"Software": None})
    print("docs/first-run.png")


if __name__ == "__main__":
    main()
