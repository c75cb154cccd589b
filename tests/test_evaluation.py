"""Scores, from predictions alone: against scikit-learn, and by hand."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ENVIRONMENT, ROOT
from sklearn import metrics as sklearn

from chest_transfer.data.predictions import read_predictions, table_of
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.curves import confusion, precision_recall_points, roc_points
from chest_transfer.evaluation.metrics import Judged, calibration_error, reliability, scores
from chest_transfer.evaluation.summary import evaluate
from chest_transfer.evaluation.tables import scores_table
from chest_transfer.settings import read_settings
from chest_transfer.training.operating import calibrated, decisions, fitted_temperature, operating_facts, thresholds

RANDOM = np.random.default_rng(0)
FILES = pd.DataFrame(index=pd.Index([f"n{i}" for i in range(50)], name="name"))
ASKED = read_settings(ROOT / "params.yaml").evaluate.model_copy(update={"rounds": 100})


def softmax(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    truth = np.eye(k, dtype=int)[RANDOM.integers(0, k, n)]
    p = np.exp(RANDOM.normal(size=(n, k)) + truth)
    return truth, p / p.sum(axis=1, keepdims=True)


def sigmoid(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    truth = (RANDOM.random((n, k)) < 0.2).astype(int)
    return truth, np.clip(0.3 * truth + RANDOM.random((n, k)) * 0.6, 0, 1)


def judged(truth, p, multi_label=False, cuts=None) -> Judged:
    return Judged(truth, p, multi_label, 1.0, np.full(truth.shape[1], 0.5) if cuts is None else np.array(cuts))


def scored(of: Judged) -> dict:
    weights = np.ones((3, len(of.truth)), np.uint8)
    return scores(of, weights, [f"class{k}" for k in range(of.truth.shape[1])])[0]


def test_two_classes_by_hand():
    truth = np.eye(2, dtype=int)[[0, 0, 0, 1, 1]]
    disease = np.array([0.1, 0.2, 0.6, 0.4, 0.9])
    found = scored(judged(truth, np.stack([1 - disease, disease], axis=1)))
    assert found["accuracy"] == 0.6
    assert found["sensitivity"] == 0.5
    assert found["specificity"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["balanced_accuracy"] == pytest.approx(7 / 12, abs=1e-6)
    assert found["precision"] == 0.5
    assert found["f1"] == 0.5
    assert found["auc"] == pytest.approx(5 / 6, abs=1e-6)
    assert found["sensitivity_at_90_specificity"] == 0.5
    assert found["brier"] == pytest.approx(np.mean((disease - truth[:, 1]) ** 2), abs=1e-6)


def test_a_threshold_moves_sensitivity_and_specificity_but_no_area():
    truth, p = softmax(400, 2)
    usual, careful = (scored(judged(truth, p, cuts=[1 - cut, cut])) for cut in (0.5, 0.2))
    assert careful["sensitivity"] > usual["sensitivity"]
    assert careful["specificity"] < usual["specificity"]
    assert careful["auc"] == usual["auc"]


def test_exclusive_classes_agree_with_scikit_learn():
    truth, p = softmax(500, 4)
    of = judged(truth, p)
    found, y, said, p = scored(of), truth.argmax(1), p.argmax(1), of.probabilities
    expected = {
        "auc": sklearn.roc_auc_score(y, p, multi_class="ovr"),
        "average_precision": sklearn.average_precision_score(truth, p),
        "accuracy": sklearn.accuracy_score(y, said),
        "balanced_accuracy": sklearn.balanced_accuracy_score(y, said),
        "precision": sklearn.precision_score(y, said, average="macro"),
        "sensitivity": sklearn.recall_score(y, said, average="macro"),
        "f1": sklearn.f1_score(y, said, average="macro"),
        "f1_macro": sklearn.f1_score(y, said, average="macro"),
        "f1_weighted": sklearn.f1_score(y, said, average="weighted"),
        "precision_weighted": sklearn.precision_score(y, said, average="weighted"),
        "sensitivity_weighted": sklearn.recall_score(y, said, average="weighted"),
        "loss": sklearn.log_loss(y, p),
        "brier": np.mean([sklearn.brier_score_loss(truth[:, k], p[:, k]) for k in range(4)]),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert found["findings"]["class2"]["auc"] == pytest.approx(sklearn.roc_auc_score(truth[:, 2], p[:, 2]), abs=1e-6)


def test_several_labels_are_scored_one_by_one():
    truth, p = sigmoid(400, 3)
    found, said = scored(judged(truth, p, multi_label=True)), p >= 0.5
    expected = {
        "auc": sklearn.roc_auc_score(truth, p),
        "average_precision": sklearn.average_precision_score(truth, p),
        "accuracy": np.mean(said == truth),
        "sensitivity": sklearn.recall_score(truth, said, average="macro"),
        "specificity": np.mean([sklearn.recall_score(truth[:, k], said[:, k], pos_label=0) for k in range(3)]),
        "f1_weighted": sklearn.f1_score(truth, said, average="weighted"),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_a_class_without_images_is_left_out_and_none_at_all_gives_none():
    truth, p = softmax(100, 3)
    truth[:, 0] += truth[:, 2]
    truth[:, 2] = 0
    assert scored(judged(truth, p))["auc"] is not None
    assert scored(judged(np.eye(2, dtype=int)[[1, 1]], np.array([[0.5, 0.5], [0.1, 0.9]])))["auc"] is None


def test_the_area_under_the_roc_points_is_the_auc():
    truth, p = softmax(300, 2)
    points = np.array([(x, y) for _, x, y in roc_points(judged(truth, p))])
    area = np.trapezoid(points[:, 1], points[:, 0])
    assert area == pytest.approx(scored(judged(truth, p))["auc"], abs=1e-5)


def test_curves_of_many_images_are_thinned_to_their_ends():
    truth, p = softmax(20_000, 2)
    for points in (roc_points(judged(truth, p)), precision_recall_points(judged(truth, p))):
        assert 100 < len(points) <= 200
        assert {points[0][1], points[-1][1]} == {0, 1}


def test_confusion_counts_every_image_once():
    truth, p = softmax(300, 3)
    cells = confusion(judged(truth, p), ["a", "b", "c"])
    assert sum(count for *_, count, _ in cells) == 300
    both = {(a, b): (count, share) for a, b, count, share in cells}
    assert both["a", "b"][0] == int(((truth[:, 0] == 1) & (p.argmax(1) == 1)).sum())
    assert sum(share for (a, _), (_, share) in both.items() if a == "a") == pytest.approx(1, abs=1e-3)


def test_probabilities_that_keep_their_word_have_no_calibration_error():
    p = np.repeat(np.linspace(0.05, 0.95, 10), 1000)
    truth = np.concatenate([np.arange(1000) < round(1000 * share) for share in np.linspace(0.05, 0.95, 10)]).astype(int)
    assert calibration_error(truth, p) < 1e-9
    assert calibration_error(truth, np.ones_like(p)) == pytest.approx(0.5)
    assert reliability(truth, p, bins=10)[:, 2].tolist() == [1000] * 10


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_temperature_undoes_exaggeration(multi_label):
    logits = RANDOM.normal(size=(20_000, 3))
    p = calibrated(1 / (1 + np.exp(-logits)), 1.0, multi_label)
    if multi_label:
        truth = (RANDOM.random(p.shape) < p).astype(int)
    else:
        truth = np.eye(3, dtype=int)[[RANDOM.choice(3, p=row) for row in p]]
    exaggerated = calibrated(p, 1 / 2.5, multi_label)
    assert fitted_temperature(truth, exaggerated, multi_label) == pytest.approx(2.5, rel=0.1)
    assert np.allclose(calibrated(exaggerated, 2.5, multi_label), p, atol=1e-6)


def test_youden_and_a_wanted_sensitivity_by_hand():
    truth = np.eye(2, dtype=int)[[0, 0, 0, 1, 0, 1, 1, 1]]
    disease = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    p = np.stack([1 - disease, disease], axis=1)
    assert thresholds(truth, p, False, "youden")[1] == pytest.approx(0.55)  # between 0.5 and 0.6: 3/4 + 1 - 1
    assert thresholds(truth, p, False, "sensitivity 0.9")[1] == pytest.approx(0.35)
    called = decisions(p, thresholds(truth, p, False, "sensitivity 0.9"), False)
    assert sklearn.recall_score(truth[:, 1], called[:, 1]) == 1


def test_of_more_exclusive_classes_the_likeliest_is_called():
    truth, p = softmax(100, 4)
    cuts = thresholds(truth, p, False, "youden")
    assert (decisions(p, cuts, False).argmax(1) == p.argmax(1)).all()


def test_a_finding_that_validation_lacks_keeps_the_middle():
    truth, p = sigmoid(50, 2)
    truth[:, 1] = 0
    assert thresholds(truth, p, True, "youden")[1] == 0.5
    facts = operating_facts(truth, p, True)
    assert set(facts["thresholds"]) == {"youden", "sensitivity 0.9", "sensitivity 0.95"}
    assert json.loads(json.dumps(facts)) == facts


def write_tables(folder, classes=("Normal", "Tuberculosis")):
    truth, p = softmax(50, len(classes))
    names = np.array([f"n{i}" for i in range(50)])
    for name in ("train-none", "train-imagenet"):
        for split in ("val", "test"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            table = table_of(names, names, truth, p.astype(np.float32), list(classes))
            table.to_csv(folder / name / f"{split}.csv", index=False)
        history = pd.DataFrame({"epoch": [1, 2], "loss": [0.9, 0.5], "val_loss": [0.8, 0.7]})
        history.to_csv(folder / name / "history.csv", index=False)
    return truth, p


def test_tables_keep_every_digit(tmp_path):
    truth, p = write_tables(tmp_path / "p")
    table = read_predictions(tmp_path / "p/train-none/test.csv")
    assert (table.truth == truth).all()
    assert (table.probabilities.astype(np.float32) == p.astype(np.float32)).all()
    assert table.classes == ["Normal", "Tuberculosis"]
    assert table.patients.tolist() == [f"n{i}" for i in range(50)]


def test_evaluate_writes_metrics_under_regime_and_weights_without_tensorflow(tmp_path):
    truth, p = write_tables(tmp_path / "p")
    program = f"""
import sys
from pathlib import Path
import pandas as pd
from chest_transfer.evaluation.summary import evaluate
from chest_transfer.settings import read_settings
folder, asked = Path({str(tmp_path)!r}), read_settings({str(ROOT / "params.yaml")!r}).evaluate
files = pd.DataFrame(index=pd.Index([f"n{{i}}" for i in range(50)], name="name"))
evaluate(folder / "p", ["train-none", "train-imagenet"], False, files, asked, "tb", folder / "m")
assert not any(name in sys.modules for name in ("tensorflow", "keras")), "TensorFlow was loaded"
"""
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    metrics = json.loads((tmp_path / "m/tb.json").read_text())
    assert set(metrics["train"]) == {"none", "imagenet"}
    found = metrics["train"]["none"]
    assert found["auc"] == pytest.approx(sklearn.roc_auc_score(truth[:, 1], p[:, 1]), abs=1e-6)
    assert found["auc_low"] < found["auc"] < found["auc_high"]
    detail = json.loads((tmp_path / "m/detail/tb.json").read_text())["train"]["none"]
    assert detail["operating_point"] == "youden, chosen on validation"
    assert 0 < detail["threshold"] < 1
    assert detail["patients"] == 50
    confused = pd.read_csv(tmp_path / "m/plots/tb/confusion.csv")
    assert list(confused) == ["model", "actual", "predicted", "images", "share"]
    assert set(pd.read_csv(tmp_path / "m/plots/tb/roc.csv")["model"]) == {"train-none", "train-imagenet"}


def test_two_evaluations_write_the_same_bytes(tmp_path):
    write_tables(tmp_path / "p")
    for folder in ("a", "b"):
        evaluate(tmp_path / "p", ["train-none", "train-imagenet"], False, FILES, ASKED, "tb", tmp_path / folder)
    files = [path.relative_to(tmp_path / "a") for path in sorted((tmp_path / "a").rglob("*.*"))]
    assert len(files) == 11
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_no_predictions_are_told(tmp_path):
    with pytest.raises(ChestTransferError, match=r"no predictions at .* run: dvc repro"):
        evaluate(tmp_path, ["train-none"], False, FILES, ASKED, "tb", tmp_path / "m")


def test_the_metrics_of_datasets_as_one_table(tmp_path):
    write_tables(tmp_path / "p")
    for name in ("pneumonia", "covid"):
        evaluate(tmp_path / "p", ["train-none"], False, FILES, ASKED, name, tmp_path / "m")
    table = scores_table([tmp_path / "m/pneumonia.json", tmp_path / "m/covid.json"])
    assert table.index.tolist() == [("pneumonia", "train", "none"), ("covid", "train", "none")]
    assert list(table)[:2] == ["auc", "auc_low"]
