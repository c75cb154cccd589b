"""Whether intervals for another training seed and other patients are right, on simulated studies whose truth is known.

python -m bench.readers [--studies 1000] [--ratings vandyke.csv]

Two starts of the same expected area are trained with 2, 3 or 5 seeds, and score the same radiographs, one to three of
each patient, a third of the patients being ill. Seeds differ little or much (`spread`). Printed as fractions of the
studies: how often the 95 % interval of a start's mean area contains its expectation, how often that of the difference
contains 0 (expected of both: 0.95), how often a difference is found where there is none (expected: 0.05); the first and
the last of these for balanced accuracy at a fixed threshold, whose covariance over patients is that of a bootstrap; and
for areas with one seed, with intervals over patients alone.

`--ratings` prints the analysis of ratings (columns reader, treatment, case, truth, rating), with the covariance of
DeLong and an unbiased one, to compare with published figures.
"""

import argparse

import numpy as np
import pandas as pd
from scipy.stats import norm

from chest_transfer.evaluation.delong import delong, delong_p_value
from chest_transfer.evaluation.intervals import NORMAL_QUANTILE, cluster_bootstrap_weights
from chest_transfer.evaluation.reader_study import ReaderStudy, bootstrap_covariance

SEPARATION = 1.5  # of ill and healthy, in standard deviations of a score
THRESHOLD, RESAMPLES = SEPARATION / 2, 200
SEED_SPREADS = {"small": 0.05, "large": 0.4}  # of the separation over seeds, standard deviations
# Shares of a score's variance: of the patient and the image with all models, of the patient with one start.
PATIENT, IMAGE, START = 0.4, 0.2, 0.15
ILL_SHARE = 1 / 3


def simulate_study(
    patients: int, seeds: int, spread: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels (N,), scores (2 * seeds, N) of two starts, ordered by start, and patients (N,)."""
    patient_of = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
    labels = (rng.random(patients) < ILL_SHARE).astype(int)[patient_of]
    images = len(labels)
    shared = np.sqrt(PATIENT) * rng.normal(size=patients)[patient_of] + np.sqrt(IMAGE) * rng.normal(size=images)
    # Half of what seeds differ by is common to both starts, as the order of batches is.
    separations = SEPARATION + spread * np.sqrt(0.5) * (rng.normal(size=(1, seeds)) + rng.normal(size=(2, seeds)))
    scores = []
    for start in range(2):
        of_start = shared + np.sqrt(START) * rng.normal(size=patients)[patient_of]
        for seed in range(seeds):
            noise = np.sqrt(1 - PATIENT - IMAGE - START) * rng.normal(size=images)
            scores.append(separations[start, seed] * labels + of_start + noise)
    return labels, np.array(scores), patient_of.astype(str)


def expected_area(spread: float) -> float:
    """Return the expectation of a model's area over seeds: differences of scores have variance 2 + spread^2."""
    return float(norm.cdf(SEPARATION / np.sqrt(2 + spread**2)))


def expected_accuracy(spread: float) -> float:
    """Return the expectation of a model's balanced accuracy at `THRESHOLD` over seeds."""
    return float(norm.cdf((SEPARATION - THRESHOLD) / np.sqrt(1 + spread**2)) + norm.cdf(THRESHOLD)) / 2


def balanced_accuracies(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (M, 1 + R) the balanced accuracy of M scores, and in R resamples."""
    weights = np.vstack([np.ones(len(labels)), weights])
    is_right = (scores > THRESHOLD) == labels
    of_class = [(is_right * (labels == k)) @ weights.T / (weights @ (labels == k)) for k in (0, 1)]
    return np.mean(of_class, axis=0)


def coverage(studies: int, patients: int, seeds: int, spread: float) -> dict[str, float]:
    """Return how often intervals contain the truth, and how often a difference is found where there is none."""
    rng, truth, true_accuracy = np.random.default_rng(1), expected_area(spread), expected_accuracy(spread)
    rows = []
    for _ in range(studies):
        labels, scores, patient_of = simulate_study(patients, seeds, spread, rng)
        areas, covariance = delong(labels, scores, patient_of)
        study = ReaderStudy.of(areas, covariance, treatments=2)
        mean, difference = study.mean(0), study.difference(0, 1)
        low, high = mean.area_interval
        accuracies = balanced_accuracies(labels, scores, cluster_bootstrap_weights(patient_of, RESAMPLES, seed=1))
        of_accuracy = ReaderStudy.of(accuracies[:, 0], bootstrap_covariance(accuracies[:, 1:]), treatments=2)
        accuracy_low, accuracy_high = of_accuracy.mean(0).interval
        width = NORMAL_QUANTILE * np.sqrt(covariance[0, 0])
        rows.append({
            "mean": low <= truth <= high,
            "difference": difference.interval[0] <= 0 <= difference.interval[1],
            "found": difference.p < 0.05,
            "accuracy: mean": accuracy_low <= true_accuracy <= accuracy_high,
            "accuracy: found": of_accuracy.difference(0, 1).p < 0.05,
            "one seed: mean": areas[0] - width <= truth <= areas[0] + width,
            "one seed: found": delong_p_value(areas, covariance, 0, seeds) < 0.05,
        })  # fmt: skip
    return pd.DataFrame(rows).mean().to_dict()


def unbiased_covariance(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the covariance (M, M) of the areas of scores (M, N): Gallas, Academic Radiology 13, 2006, 353-362."""
    ill, healthy = scores[:, labels == 1], scores[:, labels == 0]
    success = (ill[:, :, None] > healthy[:, None]) + 0.5 * (ill[:, :, None] == healthy[:, None])
    (_, m, n), total = success.shape, success.sum(axis=(1, 2))
    of_pair = np.einsum("axy,bxy->ab", success, success)
    of_ill = np.einsum("ax,bx->ab", success.sum(axis=2), success.sum(axis=2)) - of_pair
    of_healthy = np.einsum("ay,by->ab", success.sum(axis=1), success.sum(axis=1)) - of_pair
    of_neither = np.outer(total, total) - of_pair - of_ill - of_healthy
    moments = of_pair / (m * n), of_ill / (m * n * (n - 1)), of_healthy / (m * (m - 1) * n)
    neither = of_neither / (m * (m - 1) * n * (n - 1))
    return (moments[0] + (n - 1) * moments[1] + (m - 1) * moments[2] + ((m - 1) * (n - 1) - m * n) * neither) / (m * n)


def analyse_ratings(path: str) -> pd.DataFrame:
    """Return the analysis of a file of ratings, a column for each estimate of the covariance."""
    table = pd.read_csv(path)
    ratings = table.pivot(index="case", columns=["treatment", "reader"], values="rating").sort_index(axis=1)
    labels = table.groupby("case")["truth"].first().loc[ratings.index].to_numpy()
    scores, treatments = ratings.to_numpy(float).T, table["treatment"].nunique()
    areas, covariance = delong(labels, scores, ratings.index.astype(str).to_numpy())
    columns = {}
    for name, estimate in (("DeLong", covariance), ("unbiased", unbiased_covariance(labels, scores))):
        study = ReaderStudy.of(areas, estimate, treatments, is_cautious=False)
        difference = study.difference(1, 0)
        cov1, cov2, cov3 = study.covariances
        ratio, freedom, p = study.test()
        columns[name] = {
            "Cov1": cov1, "Cov2": cov2, "Cov3": cov3, "Error": study.error_variance,
            "MS(T)": study.treatment_mean_square, "MS(T:R)": study.interaction_mean_square, "F": ratio, "df2": freedom,
            "p": p, "difference": difference.value, "SE": difference.error, "low": difference.interval[0],
            "high": difference.interval[1],
            "F, cases fixed": study.treatment_mean_square / study.interaction_mean_square,
        }  # fmt: skip
        for treatment in range(treatments):
            mean = study.mean(treatment)
            figures = {"area": mean.value, "SE": mean.error, "df": mean.freedom}
            figures |= dict(zip(("low", "high"), mean.interval, strict=True))
            columns[name] |= {f"{figure} {treatment + 1}": value for figure, value in figures.items()}
    return pd.DataFrame(columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--ratings")
    arguments = parser.parse_args()
    if arguments.ratings:
        print(analyse_ratings(arguments.ratings).to_string(float_format=lambda value: f"{value:.10f}"))
        return
    heads = ("patients", "seeds", "spread", "mean", "difference", "found", "accuracy", "found", "one seed", "found")
    print(" ".join(f"{head:>10}" for head in heads))
    for patients in (100, 300):
        for spread in SEED_SPREADS.values():
            for seeds in (2, 3, 5):
                row = coverage(arguments.studies, patients, seeds, spread)
                cells = [str(patients), str(seeds), str(spread), *(f"{value:.3f}" for value in row.values())]
                print(" ".join(f"{cell:>10}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
