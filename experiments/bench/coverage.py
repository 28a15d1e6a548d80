"""How often the 95% intervals hold what they should, on simulated patients whose scores are known.

Run: python experiments/bench/coverage.py [IMAGES [IMAGES_PER_PATIENT [TRIALS]]]. Two classifiers
with normal scores, AUROC 0.62 to 0.87 over 14 labels of ChestX-ray14's prevalences, the second a
little worse. For each score it prints the share of trials whose interval holds the value in the
population, and the value that a set of this size has on average. The two differ for average
precision, which is biased upwards where positives are few. Percentile intervals, which the package
doesn't use, stand beside.
"""

import sys

import numpy as np
from scipy.special import ndtr
from sklearn.metrics import average_precision_score

from cxrkeras.evaluation.intervals import macro, resample

PREVALENCE = np.array(
    [0.11, 0.03, 0.12, 0.18, 0.05, 0.06, 0.012, 0.05, 0.04, 0.02, 0.023, 0.016, 0.033, 0.01]
)
SHIFT = np.linspace(0.45, 1.6, len(PREVALENCE))
WORSE, SHARED, LABEL = 0.15, 0.8, 9  # LABEL: about 2% positive
LEVEL, RESAMPLES = 0.95, 1000


def simulate(random, images: int, per_patient: int):
    """Truth, both classifiers' scores, and patients; images of a patient resemble each other."""
    sizes = random.integers(1, per_patient + 1, images)
    unit = np.repeat(np.arange(images), sizes)[:images]
    shape = (images, len(PREVALENCE))
    own, patients = random.random(shape) < PREVALENCE, random.random(shape) < PREVALENCE
    alike = (random.random(shape) < 0.6) & (per_patient > 1)
    truth = np.where(alike, patients[unit], own).astype(float)
    noise = random.normal(size=shape)
    if per_patient > 1:
        noise = (noise + random.normal(size=shape)[unit]) / np.sqrt(2)
    other = SHARED * noise + np.sqrt(1 - SHARED**2) * random.normal(size=shape)
    return truth, (noise + SHIFT * truth, other + (SHIFT - WORSE) * truth), unit


def population(random) -> dict[str, np.ndarray]:
    """(2, K) AUROC in closed form, and average precision over a million images."""
    truth, scores, _ = simulate(random, 1_000_000, 1)
    precision = [
        [average_precision_score(truth[:, k], s[:, k]) for k in range(len(PREVALENCE))]
        for s in scores
    ]
    shifts = np.stack([SHIFT, SHIFT - WORSE])
    return {"auroc": ndtr(shifts / np.sqrt(2)), "average_precision": np.array(precision)}


def main(images: int = 546, per_patient: int = 1, trials: int = 300) -> None:
    """Simulate, count, and print."""
    random = np.random.default_rng(0)
    true, found, seed = population(random), {}, 0
    while seed < trials:
        truth, scores, unit = simulate(random, images, per_patient)
        if (truth.sum(axis=0) < 2).any():
            continue
        seed += 1
        for name, drawn in resample(truth, scores, unit, resamples=RESAMPLES, seed=seed).items():
            draws = macro(drawn.draws[0]), macro(drawn.draws[0]) - macro(drawn.draws[1])
            cases = {
                "macro": (drawn.of_macro(0, LEVEL), draws[0], true[name][0].mean()),
                "macro difference": (
                    drawn.of_difference(0, 1, LEVEL),
                    draws[1],
                    (true[name][0] - true[name][1]).mean(),
                ),
                "one rare label": (
                    drawn.of_label(0, LABEL, LEVEL),
                    drawn.draws[0, LABEL],
                    true[name][0, LABEL],
                ),
            }
            for case, (part, of, value) in cases.items():
                ends = np.nanquantile(of, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
                row = part["value"], part["low"], part["high"], *ends
                found.setdefault((name, case, value), []).append(
                    [np.nan if v is None else v for v in row]
                )
    print(f"{images} images, up to {per_patient} per patient, {trials} trials")
    for (name, case, value), rows in found.items():
        rows = np.array(rows)
        print(f"{name}, {case}: population {value:.3f}, on average {rows[:, 0].mean():.3f}")
        for kind, low, high in (("interval", 1, 2), ("percentile", 3, 4)):
            shares = [
                np.mean((rows[:, low] <= target) & (target <= rows[:, high]))
                for target in (value, rows[:, 0].mean())
            ]
            width = np.nanmean(rows[:, high] - rows[:, low])
            print(f"  {kind}: holds {shares[0]:.1%} and {shares[1]:.1%}, width {width:.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
