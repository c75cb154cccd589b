"""Scores, from predictions alone: against scikit-learn, and by hand."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ENVIRONMENT, ROOT
from sklearn.metrics import accuracy_score, f1_score, log_loss, recall_score, roc_auc_score

from chest_transfer.data.arrays import Arrays
from chest_transfer.data.predictions import predictions_table, read_predictions
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.metrics import confusion, roc_points, scores
from chest_transfer.evaluation.summary import evaluate
from chest_transfer.evaluation.tables import scores_table

RANDOM = np.random.default_rng(0)


def softmax(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    truth = np.eye(k, dtype=int)[RANDOM.integers(0, k, n)]
    p = np.exp(RANDOM.normal(size=(n, k)) + truth)
    return truth, p / p.sum(axis=1, keepdims=True)


def test_two_classes_by_hand():
    truth = np.eye(2, dtype=int)[[0, 0, 0, 1, 1]]
    disease = np.array([0.1, 0.2, 0.6, 0.4, 0.9])
    found = scores(truth, np.stack([1 - disease, disease], axis=1), multi_label=False)
    assert found["accuracy"] == 0.6
    assert found["sensitivity"] == 0.5
    assert found["specificity"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["f1"] == 0.5
    assert found["auc"] == pytest.approx(5 / 6, abs=1e-6)


def test_several_classes_are_macro_averages_as_in_scikit_learn():
    truth, p = softmax(500, 4)
    found, y, said = scores(truth, p, multi_label=False), truth.argmax(1), p.argmax(1)
    assert found["auc"] == pytest.approx(roc_auc_score(y, p, multi_class="ovr"), abs=1e-6)
    assert found["accuracy"] == pytest.approx(accuracy_score(y, said), abs=1e-6)
    assert found["sensitivity"] == pytest.approx(recall_score(y, said, average="macro"), abs=1e-6)
    assert found["f1"] == pytest.approx(f1_score(y, said, average="macro"), abs=1e-6)
    assert found["loss"] == pytest.approx(log_loss(y, p), abs=1e-6)


def test_several_labels_are_scored_one_by_one():
    truth = (RANDOM.random((400, 3)) < 0.2).astype(int)
    p = np.clip(0.3 * truth + RANDOM.random((400, 3)) * 0.6, 0, 1)
    found = scores(truth, p, multi_label=True)
    assert found["auc"] == pytest.approx(roc_auc_score(truth, p), abs=1e-6)
    assert found["accuracy"] == pytest.approx(np.mean((p >= 0.5) == truth), abs=1e-6)
    assert found["sensitivity"] == pytest.approx(recall_score(truth, p >= 0.5, average="macro"), abs=1e-6)


def test_a_class_without_images_is_left_out_and_none_at_all_gives_none():
    truth, p = softmax(100, 3)
    truth[:, 0] += truth[:, 2]
    truth[:, 2] = 0
    assert scores(truth, p, multi_label=False)["auc"] is not None
    assert scores(np.eye(2, dtype=int)[[1, 1]], np.array([[0.5, 0.5], [0.1, 0.9]]), multi_label=False)["auc"] is None


def test_the_area_under_the_roc_points_is_the_auc():
    truth, p = softmax(300, 2)
    points = np.array([(x, y) for _, x, y in roc_points(truth, p, multi_label=False)])
    area = np.trapezoid(points[:, 1], points[:, 0])
    assert area == pytest.approx(scores(truth, p, multi_label=False)["auc"], abs=1e-5)


def test_confusion_counts_every_image_once():
    truth, p = softmax(300, 3)
    cells = confusion(truth, p, ["a", "b", "c"], multi_label=False)
    assert sum(count for *_, count in cells) == 300
    assert {(a, b): n for a, b, n in cells}["a", "b"] == int(((truth[:, 0] == 1) & (p.argmax(1) == 1)).sum())


def write_tables(folder, classes=("Normal", "Tuberculosis")):
    truth, p = softmax(50, len(classes))
    names = np.array([f"n{i}" for i in range(50)])
    arrays = Arrays(np.zeros((50, 2, 2), np.uint8), truth.argmax(1), names, names, np.array(classes))
    for name in ("train-none", "train-imagenet"):
        for split in ("val", "test"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            predictions_table(arrays, p.astype(np.float32)).to_csv(folder / name / f"{split}.csv", index=False)
        history = pd.DataFrame({"epoch": [1, 2], "loss": [0.9, 0.5], "val_loss": [0.8, 0.7]})
        history.to_csv(folder / name / "history.csv", index=False)
    return truth, p


def test_tables_keep_every_digit(tmp_path):
    truth, p = write_tables(tmp_path / "p")
    read_truth, read_p, classes = read_predictions(tmp_path / "p/train-none/test.csv")
    assert (read_truth == truth).all()
    assert (read_p.astype(np.float32) == p.astype(np.float32)).all()
    assert classes == ["Normal", "Tuberculosis"]


def test_evaluate_writes_metrics_under_regime_and_weights_without_tensorflow(tmp_path):
    truth, p = write_tables(tmp_path / "p")
    program = f"""
import sys
from pathlib import Path
from chest_transfer.evaluation.summary import evaluate
from chest_transfer.evaluation.tables import scores_table
folder = Path({str(tmp_path)!r})
evaluate(folder / "p", ["train-none", "train-imagenet"], False, folder / "m.json", folder / "plots")
assert not any(name in sys.modules for name in ("tensorflow", "keras")), "TensorFlow was loaded"
"""
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert set(metrics["train"]) == {"none", "imagenet"}
    assert metrics["train"]["none"]["auc"] == pytest.approx(roc_auc_score(truth[:, 1], p[:, 1]), abs=1e-6)
    assert list(pd.read_csv(tmp_path / "plots/confusion.csv")) == ["model", "actual", "predicted", "images"]
    assert set(pd.read_csv(tmp_path / "plots/roc.csv")["model"]) == {"train-none", "train-imagenet"}


def test_no_predictions_are_told(tmp_path):
    with pytest.raises(ChestTransferError, match=r"no predictions at .* run: dvc repro"):
        evaluate(tmp_path, ["train-none"], False, tmp_path / "m.json", tmp_path / "plots")


def test_the_metrics_of_datasets_as_one_table(tmp_path):
    write_tables(tmp_path / "p")
    for name in ("pneumonia", "covid"):
        evaluate(tmp_path / "p", ["train-none"], False, tmp_path / f"{name}.json", tmp_path / "plots")
    table = scores_table([tmp_path / "pneumonia.json", tmp_path / "covid.json"])
    assert table.index.tolist() == [("pneumonia", "train", "none"), ("covid", "train", "none")]
    assert list(table)[:2] == ["auc", "accuracy"]
