"""Intervals and comparisons: against definitions, a published example, and simulated sets whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from sklearn.metrics import average_precision_score, roc_auc_score

from bench.statistics import kept_words
from chest_transfer.data.predictions import table_of
from chest_transfer.evaluation.comparisons import gains
from chest_transfer.evaluation.delong import bootstrap_p, delong, delong_p
from chest_transfer.evaluation.intervals import decision_counts, drawn, interval, ranking_scores
from chest_transfer.evaluation.summary import evaluate
from chest_transfer.settings import read_settings

# DeLong et al. 1988's patients with ovarian cancer, as listed in SAS/STAT's example "Comparing Receiver Operating
# Characteristic Curves": albumin, total protein, K-G score, and whether surgery failed (1).
OVARIAN = np.fromstring(
    "3.0 5.8 10 0 3.2 6.3 5 1 3.9 6.8 3 1 2.8 4.8 6 0 3.2 5.8 3 1 0.9 4.0 5 0 2.5 5.7 8 0 1.6 5.6 5 1 3.8 5.7 5 1 "
    "3.7 6.7 6 1 3.2 5.4 4 1 3.8 6.6 6 1 4.1 6.6 5 1 3.6 5.7 5 1 4.3 7.0 4 1 3.6 6.7 4 0 2.3 4.4 6 1 4.2 7.6 4 0 "
    "4.0 6.6 6 0 3.5 5.8 6 1 3.8 6.8 7 1 3.0 4.7 8 0 4.5 7.4 5 1 3.7 7.4 5 1 3.1 6.6 6 1 4.1 8.2 6 1 4.3 7.0 5 1 "
    "4.3 6.5 4 1 3.2 5.1 5 1 2.6 4.7 6 1 3.3 6.8 6 0 1.7 4.0 7 0 3.7 6.1 5 1 3.3 6.3 7 1 4.2 7.7 6 1 3.5 6.2 5 1 "
    "2.9 5.7 9 0 2.1 4.8 7 1 2.8 6.2 8 0 4.0 7.0 7 1 3.3 5.7 6 1 3.7 6.9 5 1 3.6 6.6 5 1",
    sep=" ",
).reshape(-1, 4)


def some(images: int = 200, patients: int = 120, seed: int = 3):
    """Truth, two models' scores with ties, patients with any number of images."""
    chance = np.random.default_rng(seed)
    truth = chance.integers(0, 2, images)
    scores = np.round(truth * 0.6 + chance.normal(size=(2, images)) + chance.normal(size=images), 1)
    return truth, scores, chance.integers(0, patients, images).astype(str)


def test_delong_gives_the_published_figures():
    albumin, protein, kg, positive = OVARIAN.T
    alone = np.arange(len(OVARIAN)).astype(str)
    areas, spread = delong(positive.astype(int), np.array([albumin, 10 - kg, protein]), alone)
    assert areas.round(4).tolist() == [0.7366, 0.7258, 0.6478]
    assert np.sqrt(np.diag(spread)).round(4).tolist() == [0.0927, 0.1028, 0.1000]
    assert round(delong_p(areas, spread, 0, 1), 4) == 0.9102
    assert round(delong_p(areas, spread, 2, 1), 4) == 0.4561


def delong_by_definition(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The paper's equations, a pair at a time."""
    wins = np.array([
        [[(x > y) + 0.5 * (x == y) for y in model[truth == 0]] for x in model[truth == 1]] for model in scores
    ])  # fmt: skip
    cases, controls = wins.shape[1:]
    return np.cov(wins.mean(axis=2)) / cases + np.cov(wins.mean(axis=1)) / controls


def test_delong_agrees_with_its_definition_to_the_last_digits():
    truth, scores, _ = some()
    areas, spread = delong(truth, scores, np.arange(len(truth)).astype(str))
    assert areas == pytest.approx([roc_auc_score(truth, score) for score in scores], abs=1e-12)
    assert np.abs(spread - delong_by_definition(truth, scores)).max() < 1e-10


def test_images_of_one_patient_count_as_one_witness():
    truth, scores, _ = some()
    alone = np.arange(len(truth)).astype(str)
    _, of_images = delong(truth, scores, alone)
    _, copied = delong(np.tile(truth, 4), np.tile(scores, 4), np.tile(alone, 4))
    assert copied == pytest.approx(of_images, rel=0.02)  # four copies of each image tell nothing new
    _, naive = delong(np.tile(truth, 4), np.tile(scores, 4), np.arange(4 * len(truth)).astype(str))
    assert naive == pytest.approx(of_images / 4, rel=0.02)


def test_one_case_alone_has_no_known_spread():
    areas, spread = delong(np.array([1, 0, 0]), np.array([[0.9, 0.1, 0.2], [0.1, 0.2, 0.3]]), np.array(["a", "b", "c"]))
    assert areas.tolist() == [1, 0]
    assert np.isnan(delong_p(areas, spread, 0, 1))


def test_resampled_areas_are_scikit_learns():
    truth, scores, patients = some()
    weights = drawn(patients, 30, seed=1)
    areas, precisions = ranking_scores(truth, scores[0], weights)
    for row, area, precision in zip(weights, areas, precisions, strict=True):
        assert area == pytest.approx(roc_auc_score(truth, scores[0], sample_weight=row), abs=1e-10)
        assert precision == pytest.approx(average_precision_score(truth, scores[0], sample_weight=row), abs=1e-10)


def test_rounds_draw_patients_with_all_their_images():
    patients = np.array(["a", "b", "b", "c"])
    weights = drawn(patients, 500, seed=1)
    assert (weights[:, 1] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert weights.mean(axis=0) == pytest.approx([1, 1, 1, 1], abs=0.15)
    assert (drawn(patients, 500, seed=1) == weights).all()
    assert (drawn(patients, 500, seed=2) != weights).any()


def test_the_bootstrap_is_that_of_repeating_rows():
    truth, scores, patients = some()
    weights = drawn(patients, 20, seed=5)
    areas, _ = ranking_scores(truth, scores[0], weights)
    for row, area in zip(weights, areas, strict=True):
        rows = np.repeat(np.arange(len(truth)), row)
        assert roc_auc_score(truth[rows], scores[0][rows]) == pytest.approx(area, abs=1e-10)
    counts = decision_counts(truth[:, None], (scores[0] > 0).astype(int)[:, None], weights)
    assert (sum(counts.values())[:, 0] == weights.sum(axis=1)).all()


def test_a_round_without_one_kind_says_nothing():
    areas, _ = ranking_scores(np.array([0, 1]), np.array([0.2, 0.8]), np.array([[1, 1], [2, 0], [0, 2]], np.uint8))
    assert areas[0] == 1
    assert np.isnan(areas[1:]).all()
    assert interval(areas) == (1, 1)


def test_the_p_of_a_difference_agrees_with_its_interval():
    chance = np.random.default_rng(1)
    for shift in np.linspace(0, 3, 40):
        differences = chance.normal(shift, 1, 1000)
        low, high = interval(differences)
        assert (bootstrap_p(differences) < 0.05) == (low > 0 or high < 0) or abs(
            bootstrap_p(differences) - 0.05
        ) < 0.005


def test_intervals_hold_the_truth_and_tests_find_nothing_where_there_is_nothing():
    found = kept_words(sets=500, patients=150, rounds=500)
    assert 0.92 <= found["coverage, bootstrap over patients"] <= 0.975
    assert found["coverage, DeLong over images (wrong)"] < found["coverage, DeLong over patients"]
    assert 0.03 <= found["false alarms, paired bootstrap"] <= 0.07
    assert 0.03 <= found["false alarms, DeLong over patients"] <= 0.07


CLASSES = ["Normal", "COVID", "Lung_Opacity"]
FILES = pd.DataFrame({"sex": ["F", "M"] * 45}, index=pd.Index(np.arange(90).astype(str), name="name"))


def write_model(folder, name, seed, shift=1.0, classes=CLASSES, seen=None, images=90):
    """One model's tables; the test split is the same for all, the probabilities depend on the seed."""
    label = np.random.default_rng(0).integers(0, 3, images)
    truth = np.eye(len(CLASSES), dtype=int)[label]
    if len(classes) == 2:
        truth = np.stack([truth[:, 0], 1 - truth[:, 0]], axis=1)
    p = np.exp(shift * truth + np.random.default_rng(seed).normal(size=truth.shape))
    p /= p.sum(axis=1, keepdims=True)
    names = np.arange(images).astype(str)
    table = table_of(names, names, truth, p, classes)
    (folder / name).mkdir(parents=True)
    table.to_csv(folder / name / "val.csv", index=False)
    (table if seen is None else table.assign(seen=seen)).to_csv(folder / name / "test.csv", index=False)
    if not name.startswith("as_is"):
        pd.DataFrame({"epoch": [1], "loss": [1.0], "val_loss": [1.0]}).to_csv(folder / name / "history.csv")


def test_every_pair_is_compared_and_gains_are_over_the_control(tmp_path):
    seen = (np.arange(90) < 10).astype(int)
    write_model(tmp_path / "p", "train-none", 1, shift=0.3)
    write_model(tmp_path / "p", "train-imagenet", 2, shift=3)
    write_model(tmp_path / "p", "finetune-imagenet", 3, shift=3)
    write_model(tmp_path / "p", "as_is-pneumonia", 4, classes=["healthy", "diseased"], seen=seen)
    write_model(tmp_path / "p", "transfer-pneumonia", 5)
    asked = read_settings(ROOT / "params.yaml").evaluate.model_copy(update={"rounds": 200})
    models = sorted(path.name for path in (tmp_path / "p").iterdir())
    evaluate(tmp_path / "p", models, False, FILES, asked, "covid", tmp_path / "m")
    pairs = pd.read_csv(tmp_path / "m/comparisons/covid.csv")
    assert len(pairs) == 10
    found = gains(pairs)
    assert set(found) == {"train", "finetune", "transfer"}
    assert found["train"]["imagenet"]["auc_low"] > 0
    assert found["train"]["imagenet"]["p"] < 0.05
    assert found["finetune"]["imagenet"]["against"] == "train-none"
    # Three classes have no one curve for DeLong; healthy against diseased has.
    delongs = pairs.set_index(["model", "other"])["p_delong"]
    assert np.isnan(delongs["finetune-imagenet", "train-none"])
    assert 0 <= delongs["as_is-pneumonia", "train-none"] <= 1


def test_a_difference_is_that_of_the_scores_themselves(tmp_path):
    for seed, name in enumerate(("probe-none", "probe-imagenet"), start=1):
        write_model(tmp_path / "p", name, seed)
    asked = read_settings(ROOT / "params.yaml").evaluate.model_copy(update={"rounds": 200})
    evaluate(tmp_path / "p", ["probe-imagenet", "probe-none"], False, FILES, asked, "covid", tmp_path / "m")
    scores = pd.read_json(tmp_path / "m/covid.json")["probe"]
    gain = pd.read_json(tmp_path / "m/gain/covid.json")["probe"]["imagenet"]
    assert gain["auc"] == pytest.approx(scores["imagenet"]["auc"] - scores["none"]["auc"], abs=2e-6)
