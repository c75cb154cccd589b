"""How often the interval of `patients needed` contains the truth, in simulated studies with a known learning curve.

    python -m bench.learning_curves [--studies 500]

The errors 1 - AUC of two starts fall as known powers of the number of training patients, 50, 200 and 1,000; the one
with the smaller error reaches with 50 what the other needs 355 for. Fits of another seed differ little or much (by a
standard deviation of 0.03 or 0.15 in the separation of the classes), and test patients are as hard for one model as for
another. Less than 95 % means intervals that are too short.
"""

import argparse

import numpy as np
from scipy.special import ndtri

from chest_transfer.evaluation.intervals import cluster_bootstrap_weights, ranking_scores
from chest_transfer.evaluation.learning_curves import LearningCurve, needed_with_interval

PATIENTS, EXPONENT, FACTOR, OTHER_FACTOR = np.array([50, 200, 1000]), 0.3, 0.9, 0.5
NEEDED = (FACTOR / OTHER_FACTOR) ** (1 / EXPONENT) * PATIENTS[0]
SHARED = 0.7  # of the variance of a score, what is hard about a test patient for every model
RESAMPLES = 300


def simulated_curve(
    factor: float, seeds: int, spread: float, labels: np.ndarray, hard: np.ndarray, weights: np.ndarray, rng
) -> LearningCurve:
    """Return the learning curve of simulated fits, with areas that have the expectation 1 - factor * n ** -EXPONENT."""
    areas = np.empty((len(PATIENTS), seeds, 1 + len(weights)))
    with_all = np.vstack([np.ones((1, len(labels)), weights.dtype), weights])
    for row, number in enumerate(PATIENTS):
        separation = np.sqrt(2) * ndtri(1 - factor * number**-EXPONENT)
        for column in range(seeds):
            noise = np.sqrt(SHARED) * hard + np.sqrt(1 - SHARED) * rng.normal(size=len(labels))
            scores = (separation + spread * rng.normal()) * labels + noise
            areas[row, column] = ranking_scores(labels, scores, with_all)[0]
    return LearningCurve(PATIENTS, areas[..., 0], areas[..., 1:])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=500)
    studies = parser.parse_args().studies
    print(f"the control needs {NEEDED:.0f} patients; {studies} studies in each row")
    print("seeds  seeds differ  test patients  interval contains the truth  it claims that patients are saved")
    rng = np.random.default_rng(1)
    for seeds in (1, 2, 3, 5):
        for spread, word in ((0.03, "little"), (0.15, "much")):
            for count in (150, 600):
                labels = (np.arange(count) % 2).astype(int)
                contained, claimed = 0, 0
                for study in range(studies):
                    weights = cluster_bootstrap_weights(np.arange(count).astype(str), RESAMPLES, study)
                    hard = rng.normal(size=count)
                    control, other = (
                        simulated_curve(factor, seeds, spread, labels, hard, weights, rng)
                        for factor in (FACTOR, OTHER_FACTOR)
                    )
                    _, low, high = needed_with_interval(control, other.areas[0], other.resampled[0], study)
                    contained += low <= NEEDED <= high
                    claimed += low > PATIENTS[0]
                print(
                    f"{seeds:5}  {word:12}  {count:13}  {contained / studies:27.1%}  {claimed / studies:33.1%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
