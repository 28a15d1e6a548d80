"""How often intervals hold what they should and tests err, on simulated patients of known scores.

Run: python experiments/coverage.py [--task intervals|compare|shares] [--images N]
[--per-patient N] [--trials N].

Two classifiers with normal scores, AUROC 0.62 to 0.87 over 14 labels of ChestX-ray14's prevalences.

`intervals`: the second is a little worse. For each score it prints the share of trials whose
interval holds the value in the population, and the value that a set of this size has on average.
The two differ for average precision, which is biased upwards where positives are few. Percentile
intervals, which the package doesn't use, stand beside.

`compare`: both are equally good, patients have several images, and labels and errors of a patient's
images resemble each other. It prints how often `cxrkeras compare`'s tests find a difference all the
same, which should be 5%, and how often they would if images were taken for independent.

`shares`: sensitivity, specificity and predictive values of the first classifier for patients with
several images that resemble each other, at a threshold that is given and at one that is fitted on
the other folds for a sensitivity of 0.9. It prints how often the intervals hold the value in the
population at these thresholds, by the number of images that the share is of, and how often they
would if images were taken for independent.
"""

import argparse
from itertools import pairwise

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri
from sklearn.metrics import average_precision_score

from cxrkeras.evaluation.compare.delong import paired_difference
from cxrkeras.evaluation.compare.intervals import macro, resample
from cxrkeras.evaluation.journal.confusion import SHARES, confusion
from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.evaluation.scores.curve import Curve

PREVALENCE = np.array(
    [0.11, 0.03, 0.12, 0.18, 0.05, 0.06, 0.012, 0.05, 0.04, 0.02, 0.023, 0.016, 0.033, 0.01]
)
SHIFT = np.linspace(0.45, 1.6, len(PREVALENCE))
WORSE, SHARED, LABEL = 0.15, 0.8, 9  # LABEL: about 2% positive
LEVEL, RESAMPLES, FEWER = 0.95, 1000, 200  # FEWER: 5% error of a standard error, 0.1% of the rate
POSITIVES = (2, 10, 30, 100, np.inf)
SCORES = ("auroc", "average_precision")
SIZES = (10, 30, 100, np.inf)  # of the images that a share is of
GIVEN, FITTED, FOLDS = 0.8, parse_rule("sensitivity=0.9"), 5


def simulate(random, images: int, per_patient: int, worse: float = WORSE):
    """Truth, both classifiers' scores, and patients; images of a patient resemble each other."""
    sizes = random.integers(1, per_patient + 1, images)
    unit = np.repeat(np.arange(images), sizes)[:images]
    shape = (images, len(PREVALENCE))
    own, patients = random.random(shape) < PREVALENCE, random.random(shape) < PREVALENCE
    alike = (random.random(shape) < 0.6) & (per_patient > 1)
    truth = np.where(alike, patients[unit], own).astype(float)

    def noise():
        found = random.normal(size=shape)
        return (found + random.normal(size=shape)[unit]) / np.sqrt(2) if per_patient > 1 else found

    first = noise()
    second = SHARED * first + np.sqrt(1 - SHARED**2) * noise()
    return truth, (first + SHIFT * truth, second + (SHIFT - worse) * truth), unit


def population(random) -> dict[str, np.ndarray]:
    """(2, K) AUROC in closed form, and average precision over a million images."""
    truth, scores, _ = simulate(random, 1_000_000, 1)
    precision = [
        [average_precision_score(truth[:, k], s[:, k]) for k in range(len(PREVALENCE))]
        for s in scores
    ]
    shifts = np.stack([SHIFT, SHIFT - WORSE])
    return {"auroc": ndtr(shifts / np.sqrt(2)), "average_precision": np.array(precision)}


def intervals(images: int = 546, per_patient: int = 1, trials: int = 300) -> None:
    """Count how often intervals hold what they should, and print it."""
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


def compare(images: int = 1000, per_patient: int = 6, trials: int = 2000) -> None:
    """Count how often equal classifiers are told apart at 5%, and print it."""
    random = np.random.default_rng(0)
    found: dict[tuple[str, str], list[bool]] = {}
    for seed in range(trials):
        truth, scores, unit = simulate(random, images, per_patient, worse=0)
        for known, units in (("patients", unit), ("images", np.arange(images))):
            for case, p in _tests(truth, scores, units, seed):
                if p is not None:
                    found.setdefault((case, known), []).append(p < 1 - LEVEL)
    print(
        f"{images} images of about {images / (per_patient + 1) * 2:.0f} patients, {trials} trials: "
        f"share of p < {1 - LEVEL:.2f} (± its standard error)"
    )
    for case in dict.fromkeys(case for case, _ in found):
        told = [found[case, known] for known in ("patients", "images")]
        shares = [f"{np.mean(p):6.1%} ± {np.std(p) / np.sqrt(len(p)):.1%}" for p in told]
        print(f"{case:<32} by patients {shares[0]}, by images {shares[1]}, {len(told[0]):,} tests")


def shares(images: int = 1000, per_patient: int = 6, trials: int = 500) -> dict:
    """Count how often shares' intervals hold what they should, and print it.

    Returns:
        {(kind of threshold, share, words of size, `patients` or `images`): held or not, of each}.
    """
    random = np.random.default_rng(0)
    found: dict[tuple[str, str, str, str], list[bool]] = {}
    for _ in range(trials):
        truth, (scores, _), unit = simulate(random, images, per_patient)
        fold = random.integers(0, FOLDS, unit.max() + 1)[unit]
        for k, shift in enumerate(SHIFT):
            y, p = truth[:, k] == 1, expit(scores[:, k])
            for kind, cut in _cuts(y, p, fold, shift).items():
                _note(found, kind, y, p > cut, unit, _true(y, logit(cut), shift, PREVALENCE[k]))
    print(
        f"{images} images of about {images / (per_patient + 1) * 2:.0f} patients, {trials} trials"
    )
    for (kind, share, size, known), held in found.items():
        if known == "patients":
            alone = np.mean(found[kind, share, size, "images"])
            error = np.sqrt(np.mean(held) * (1 - np.mean(held)) / len(held))
            print(
                f"{kind}, {share:<11} of {size:<11} images: "
                f"held {np.mean(held):.1%} ± {error:.1%}, "
                f"if independent {alone:.1%}, {len(held):,} intervals"
            )
    return found


def _cuts(y, p, fold, shift) -> dict[str, np.ndarray]:
    """Each image's threshold: given, and fitted on the other folds, found by what it calls."""
    cuts = {"given": np.full(len(p), expit(shift - float(ndtri(GIVEN))))}
    if all(y[fold != k].any() for k in range(FOLDS)):
        fitted = [FITTED.threshold(Curve(y[fold != k], p[fold != k])) for k in range(FOLDS)]
        cuts["fitted"] = np.array(fitted)[fold]
    return cuts


def _true(y, cut, shift, prevalence) -> dict[str, float]:
    """The shares in the population at these thresholds."""
    hits, clear = ndtr(shift - cut), ndtr(cut)
    called, missed = prevalence * hits.mean(), prevalence * (1 - hits.mean())
    cleared = (1 - prevalence) * clear.mean()
    return {
        "sensitivity": hits[y].mean() if y.any() else np.nan,
        "specificity": clear[~y].mean(),
        "ppv": called / (called + (1 - prevalence) * (1 - clear.mean())),
        "npv": cleared / (cleared + missed),
    }


def _note(found, kind, y, called, unit, true) -> None:
    among = dict(zip(SHARES, (y, ~y, called, ~called), strict=True))
    for known, units in (("patients", unit), ("images", np.arange(len(unit)))):
        parts = confusion(y, called, units)
        for share, rows in among.items():
            for low, high in pairwise(SIZES):
                if low <= rows.sum() < high:
                    size = f"{low} or more" if high == np.inf else f"{low} to {high - 1:.0f}"
                    part = parts[share]
                    held = part["low"] <= true[share] <= part["high"]
                    found.setdefault((kind, share, size, known), []).append(bool(held))


def _tests(truth, scores, unit, seed):
    """(what, p) of each test that `cxrkeras compare` makes of a pair."""
    drawn = resample(truth, scores, unit, resamples=FEWER, seed=seed)
    for name in SCORES:
        yield f"macro {name}", drawn[name].of_difference(0, 1, LEVEL)["p"]
    for k, positives in enumerate(truth.sum(axis=0)):
        pair = [score[:, k] for score in scores]
        p = paired_difference(truth[:, k], *pair, unit, LEVEL)["p"]
        for low, high in pairwise(POSITIVES):
            if low <= positives < high:
                upper = "or more" if high == np.inf else f"to {high - 1:.0f}"
                yield f"label, {low} {upper} positives", p


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=("intervals", "compare", "shares"), default="intervals")
    for option in ("--images", "--per-patient", "--trials"):
        parser.add_argument(option, type=int, default=argparse.SUPPRESS)
    asked = vars(parser.parse_args())
    {"intervals": intervals, "compare": compare, "shares": shares}[asked.pop("task")](**asked)
