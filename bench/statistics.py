"""Whether intervals and tests keep their word, on simulated test sets of known worth; and evaluate at NIH's size.

python -m bench.statistics [--sets 500] [--models 10]

A patient has one to three radiographs, whose scores share a part of their noise; a fifth of the patients are ill. Two
models of the same true area read the same radiographs, so their errors are alike. Said in shares of the sets: how often
the 95 % interval holds the true area (should: 0.95), and how often a difference is found where there is none (0.05).
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from chest_transfer.data.layouts import FINDINGS
from chest_transfer.data.predictions import table_of
from chest_transfer.evaluation.delong import bootstrap_p, delong, delong_p
from chest_transfer.evaluation.intervals import drawn, interval, ranking_scores
from chest_transfer.evaluation.summary import evaluate
from chest_transfer.settings import read_settings

APART = 1.2  # between ill and healthy, in deviations of a score
OF_PATIENT, OF_IMAGE = 0.4, 0.3  # shares of a score's variance that a patient's, and an image's, scores have in common


def test_set(patients: int, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth (N,), scores of two models (2, N), patients (N,) str; each model's true area is Phi(APART / sqrt 2)."""
    images = chance.integers(1, 4, patients)
    of = np.repeat(np.arange(patients), images)
    truth = (chance.random(patients) < 0.2).astype(int)[of]
    shared = np.sqrt(OF_PATIENT) * chance.normal(size=patients)[of] + np.sqrt(OF_IMAGE) * chance.normal(size=len(of))
    own = np.sqrt(1 - OF_PATIENT - OF_IMAGE) * chance.normal(size=(2, len(of)))
    return truth, APART * truth + shared + own, of.astype(str)


def kept_words(sets: int, patients: int, rounds: int, seed: int = 1) -> dict[str, float]:
    """Shares of the sets: the interval holds the true area; the tests find a difference where there is none."""
    area, chance = norm.cdf(APART / np.sqrt(2)), np.random.default_rng(seed)
    found = []
    for number in range(sets):
        truth, scores, people = test_set(patients, chance)
        weights = drawn(people, rounds, seed=number)
        samples = [ranking_scores(truth, score, weights)[0] for score in scores]
        areas, spread = delong(truth, scores, people)
        _, plain = delong(truth, scores, np.arange(len(truth)).astype(str))
        low, high = interval(samples[0])
        away = abs(areas[0] - area)
        found.append({
            "coverage, bootstrap over patients": low <= area <= high,
            "coverage, DeLong over patients": away <= 1.96 * np.sqrt(spread[0, 0]),
            "coverage, DeLong over images (wrong)": away <= 1.96 * np.sqrt(plain[0, 0]),
            "false alarms, paired bootstrap": bootstrap_p(samples[1] - samples[0]) < 0.05,
            "false alarms, DeLong over patients": delong_p(areas, spread, 0, 1) < 0.05,
        })  # fmt: skip
    return pd.DataFrame(found).mean().to_dict()


def full_size(models: int, images: int = 25_596) -> tuple[float, float]:
    """(seconds, peak memory in GB) of evaluate for NIH's test split: 14 findings, 2,797 patients' worth of images."""
    chance, settings = np.random.default_rng(1), read_settings().evaluate
    with tempfile.TemporaryDirectory() as name:
        for split, count in (("test", images), ("val", 11_219)):
            truth = (chance.random((count, len(FINDINGS))) < np.linspace(0.002, 0.2, len(FINDINGS))).astype(int)
            names, people = np.arange(count).astype(str), (np.arange(count) // 9).astype(str)
            for number in range(models):
                scores = 1 / (1 + np.exp(3 - truth - chance.normal(size=truth.shape)))
                folder = Path(name, f"train-w{number}" if number else "train-none")
                folder.mkdir(exist_ok=True)
                table_of(names, people, truth, scores.astype(np.float32), list(FINDINGS)).to_csv(
                    folder / f"{split}.csv", index=False
                )
                pd.DataFrame({"epoch": [1], "loss": [1.0], "val_loss": [1.0]}).to_csv(folder / "history.csv")
        started = [path.name for path in sorted(Path(name).iterdir())]
        groups = {"sex": ["F", "M"], "age": ["0-17", "18-39", "40-59", "60-79", "80+"], "view": ["AP", "PA"]}
        index = pd.Index(np.arange(images).astype(str), name="name")
        files = pd.DataFrame({key: chance.choice(values, images) for key, values in groups.items()}, index)
        start = time.perf_counter()
        evaluate(Path(name), started, True, files, settings, "nih", Path(name, "metrics"))
        return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def against_scikit_learn(images: int = 2000, rounds: int = 200) -> float:
    """How many times as fast as a loop of scikit-learn's over the same resamples of patients."""
    truth, scores, people = test_set(images // 2, np.random.default_rng(1))
    weights = drawn(people, rounds, seed=1)
    start = time.perf_counter()
    ranking_scores(truth, scores[0], weights)
    middle = time.perf_counter()
    for row in weights:
        roc_auc_score(truth, scores[0], sample_weight=row)
    return (time.perf_counter() - middle) / (middle - start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--patients", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--models", type=int, default=10)
    asked = parser.parse_args()
    for name, share in kept_words(asked.sets, asked.patients, asked.rounds).items():
        print(f"{name}: {share:.3f}")
    print(f"areas under resampled ROC curves: {against_scikit_learn():.0f} times as fast as scikit-learn in a loop")
    seconds, memory = full_size(asked.models)
    print(f"evaluate, {asked.models} models, 25,596 images, 14 findings: {seconds:.1f} s, {memory:.2f} GB")


if __name__ == "__main__":
    main()
