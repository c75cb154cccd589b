"""Whether intervals and tests are right, on simulated test sets whose true area is known; and evaluate at NIH's size.

python -m bench.statistics [--sets 500] [--models 10]

With few patients, and for averages over findings that are mostly rare, only how often the interval contains the truth.

A patient has one to three radiographs, whose scores share a part of their noise; a fifth of the patients are diseased.
Two models of the same true area score the same radiographs, so their errors are correlated. Printed as fractions of the
sets: how often the 95 % interval contains the true area (expected: 0.95), and how often a difference is found where
there is none (expected: 0.05).
"""

import argparse
import resource
import tempfile
import time
from contextlib import chdir
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from chest_transfer.data.findings import NIH_FINDINGS
from chest_transfer.data.predictions import Predictions
from chest_transfer.evaluation.calibrated_predictions import uncalibrated_predictions
from chest_transfer.evaluation.delong import bootstrap_p_value, delong, delong_p_value
from chest_transfer.evaluation.intervals import (
    PatientCounts,
    cluster_bootstrap_weights,
    confidence_interval,
    ranking_scores,
    with_interval,
)
from chest_transfer.evaluation.metrics import score
from chest_transfer.evaluation.summary import evaluate_dataset
from chest_transfer.model_names import ModelName
from chest_transfer.settings import read_settings

SEPARATION = 1.2  # of diseased and healthy, in standard deviations of a score
# Shares of a score's variance that are common to all radiographs of a patient, and to both models of a radiograph.
PATIENT_VARIANCE, IMAGE_VARIANCE = 0.4, 0.3
DISEASED_SHARE = 0.2
FEW = ((5, 20), (10, 50), (20, 80), (30, 120), (50, 200))  # ill and healthy patients
RARE = np.array([2, 2, 3, 3, 4, 5, 5, 8, 8, 10, 12, 15, 20, 30])  # expected ill patients of each finding
RARE_SEPARATIONS, RARE_PATIENTS = np.linspace(0.3, 2.2, len(RARE)), 120
NIH_TEST_IMAGES, NIH_VALIDATION_IMAGES, IMAGES_PER_PATIENT = 25_596, 11_219, 9


def simulate_test_set(patients: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels (N,), scores of two models (2, N) and patients (N,) str.

    The true area of each model is Phi(SEPARATION / sqrt(2)).
    """
    patient_of = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
    labels = (rng.random(patients) < DISEASED_SHARE).astype(int)[patient_of]
    images = len(labels)
    shared = np.sqrt(PATIENT_VARIANCE) * rng.normal(size=patients)[patient_of]
    shared = shared + np.sqrt(IMAGE_VARIANCE) * rng.normal(size=images)
    own = np.sqrt(1 - PATIENT_VARIANCE - IMAGE_VARIANCE) * rng.normal(size=(2, images))
    return labels, SEPARATION * labels + shared + own, patient_of.astype(str)


def coverage_and_false_alarms(sets: int, patients: int, resamples: int, seed: int = 1) -> dict[str, float]:
    """Return how often intervals contain the true area, and how often tests find a difference where there is none.

    Args:
        sets: int, simulated test sets.
        patients: int, of each.
        resamples: int, of the bootstrap.
        seed: int, of the sets.

    Returns:
        dict of fractions of the sets, 0-1.
    """
    true_area, rng = norm.cdf(SEPARATION / np.sqrt(2)), np.random.default_rng(seed)
    outcomes = []
    for number in range(sets):
        labels, scores, patient_names = simulate_test_set(patients, rng)
        weights = cluster_bootstrap_weights(patient_names, resamples, seed=number)
        resampled = [ranking_scores(labels, score, weights)[0] for score in scores]
        areas, covariance = delong(labels, scores, patient_names)
        _, covariance_of_images = delong(labels, scores, np.arange(len(labels)).astype(str))
        low, high = confidence_interval(resampled[0])
        error = abs(areas[0] - true_area)
        outcomes.append({
            "coverage, bootstrap over patients": low <= true_area <= high,
            "coverage, DeLong over patients": error <= 1.96 * np.sqrt(covariance[0, 0]),
            "coverage, DeLong over images (wrong)": error <= 1.96 * np.sqrt(covariance_of_images[0, 0]),
            "false alarms, paired bootstrap": bootstrap_p_value(resampled[1] - resampled[0]) < 0.05,
            "false alarms, DeLong over patients": delong_p_value(areas, covariance, 0, 1) < 0.05,
        })  # fmt: skip
    return pd.DataFrame(outcomes).mean().to_dict()


def coverage_of_few_patients(sets: int, resamples: int, seed: int = 1) -> pd.DataFrame:
    """Return how often intervals contain the true area with few patients of one to three radiographs.

    Returns:
        Table of ill and healthy patients, true area, and the fractions of the bootstrap and of `with_interval`.
    """
    rows = []
    for (ill, healthy), true_area in product(FEW, (0.7, 0.9, 0.97)):
        separation, rng = norm.ppf(true_area) * np.sqrt(2), np.random.default_rng(seed)
        covered = []
        for number in range(sets):
            patient_of = np.repeat(np.arange(ill + healthy), rng.integers(1, 4, ill + healthy))
            labels = (patient_of < ill).astype(int)
            shared = np.sqrt(PATIENT_VARIANCE) * rng.normal(size=ill + healthy)[patient_of]
            scores = separation * labels + shared + np.sqrt(1 - PATIENT_VARIANCE) * rng.normal(size=len(labels))
            weights = cluster_bootstrap_weights(patient_of.astype(str), resamples, seed=number)
            areas, _ = ranking_scores(labels, scores, np.vstack([np.ones_like(weights[:1]), weights]))
            low, high = confidence_interval(areas[1:])
            given = with_interval("auc", areas[0], areas[1:], PatientCounts(ill, healthy))
            covered.append((low <= true_area <= high, given["auc_low"] <= true_area <= given["auc_high"]))
        rows.append((ill, healthy, true_area, *np.mean(covered, axis=0)))
    return pd.DataFrame(rows, columns=["ill", "healthy", "area", "bootstrap", "given"])


def coverage_with_rare_findings(sets: int, resamples: int, seed: int = 1) -> float:
    """Return how often intervals of a macro average contain the true one, of findings that are mostly rare."""
    rng, covered = np.random.default_rng(seed), []
    true_areas = norm.cdf(RARE_SEPARATIONS / np.sqrt(2))
    for number in range(sets):
        patient_of = np.repeat(np.arange(RARE_PATIENTS), rng.integers(1, 4, RARE_PATIENTS))
        labels = (rng.random((RARE_PATIENTS, len(RARE))) < RARE / RARE_PATIENTS).astype(int)[patient_of]
        shared = np.sqrt(PATIENT_VARIANCE) * rng.normal(size=(RARE_PATIENTS, len(RARE)))[patient_of]
        logits = RARE_SEPARATIONS * labels + shared + np.sqrt(1 - PATIENT_VARIANCE) * rng.normal(size=labels.shape)
        names = [str(number) for number in range(len(RARE))]
        predictions = uncalibrated_predictions(labels, logits, names, True, patient_of)
        scores = score(predictions, cluster_bootstrap_weights(patient_of.astype(str), resamples, seed=number))
        low, high = confidence_interval(scores.resampled["auc"])
        covered.append(low <= true_areas[predictions.averaged_classes].mean() <= high)
    return float(np.mean(covered))


def write_predictions(name: ModelName, split: str, labels: np.ndarray, rng: np.random.Generator) -> None:
    """Write simulated predictions of all NIH findings for a split, from its labels (N, 14)."""
    images, classes = len(labels), list(NIH_FINDINGS)
    names, patients = np.arange(images).astype(str), (np.arange(images) // IMAGES_PER_PATIENT).astype(str)
    logits = labels - 3 + rng.normal(size=labels.shape)
    predictions = Predictions(
        names, patients, labels, logits, classes, classes, np.zeros(images, bool), multi_label=True
    )
    name.predictions.mkdir(parents=True, exist_ok=True)
    predictions.table().to_csv(name.predictions_of(split), index=False)


def evaluate_at_full_size(models: int) -> tuple[float, float]:
    """Return seconds and peak memory in GB of evaluating models on a test split as large as NIH's, 14 findings."""
    rng, settings = np.random.default_rng(1), read_settings().evaluate
    names = [ModelName("nih", "cnn", "train", f"w{number}" if number else "none", 1) for number in range(models)]
    groups = {"sex": ["F", "M"], "age": ["0-17", "18-39", "40-59", "60-79", "80+"], "view": ["AP", "PA"]}
    frequencies = np.linspace(0.002, 0.2, len(NIH_FINDINGS))
    history = {"epoch": [1], "loss": [1.0], "cross_entropy": [1.0], "val_loss": [1.0], "val_cross_entropy": [1.0]}
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for split, images in (("test", NIH_TEST_IMAGES), ("val", NIH_VALIDATION_IMAGES)):
            labels = (rng.random((images, len(frequencies))) < frequencies).astype(int)
            for name in names:
                write_predictions(name, split, labels, rng)
        for name in names:
            pd.DataFrame(history).to_csv(name.predictions / "history.csv", index=False)
        index = pd.Index(np.arange(NIH_TEST_IMAGES).astype(str), name="name")
        attributes = {key: rng.choice(values, NIH_TEST_IMAGES) for key, values in groups.items()}
        start = time.perf_counter()
        evaluate_dataset(names, pd.DataFrame(attributes, index), settings, Path("metrics"))
        return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def speedup_over_scikit_learn(images: int = 2000, resamples: int = 200) -> float:
    """Return how many times as fast the areas of all resamples are as a loop over scikit-learn's `roc_auc_score`."""
    labels, scores, patients = simulate_test_set(images // 2, np.random.default_rng(1))
    weights = cluster_bootstrap_weights(patients, resamples, seed=1)
    start = time.perf_counter()
    ranking_scores(labels, scores[0], weights)
    middle = time.perf_counter()
    for row in weights:
        roc_auc_score(labels, scores[0], sample_weight=row)
    return (time.perf_counter() - middle) / (middle - start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--patients", type=int, default=250)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--models", type=int, default=10)
    options = parser.parse_args()
    for name, fraction in coverage_and_false_alarms(options.sets, options.patients, options.resamples).items():
        print(f"{name}: {fraction:.3f}")
    print(coverage_of_few_patients(options.sets, options.resamples).round(3).to_string(index=False))
    macro = coverage_with_rare_findings(options.sets, options.resamples)
    print(f"coverage, macro average with rare findings: {macro:.3f}")
    print(f"areas of all resamples: {speedup_over_scikit_learn():.0f} times as fast as a loop over scikit-learn's")
    seconds, memory = evaluate_at_full_size(options.models)
    size = f"{NIH_TEST_IMAGES:,} images, {len(NIH_FINDINGS)} findings"
    print(f"evaluate, {options.models} models, {size}: {seconds:.1f} s, {memory:.2f} GB")


if __name__ == "__main__":
    main()
