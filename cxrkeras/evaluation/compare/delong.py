"""DeLong's test of AUROCs on the same images, by midranks; also with several per patient.

DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837; computed by midranks as in Sun and Xu,
IEEE Signal Processing Letters 2014;21:1389. It assumes independent images. If a patient has
several, the clustered variance of Obuchowski, Biometrics 1997;53:567, is used instead; with one
image for each patient the two are the same number. Both compare a difference over its standard
error with the normal distribution; here it is Student's t, with as many degrees of freedom as there
are patients with the finding, or without, whichever are fewer, less one: the variance is estimated
from those, and with 10 to 29 positives of some 12 patients a normal test errs in 9% instead of 5%
(`experiments/coverage.py`).
"""

import math

import numpy as np
from scipy.stats import rankdata

from cxrkeras.evaluation.compare.intervals import normal_interval

ROUNDING = 1e-20  # a variance of 0, being a difference of sums, comes out a little off it


def placements(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's structural components of one AUROC.

    Args:
        truth: (N,) bool, True for a positive; m of them, and n negatives.
        score: (N,) float.

    Returns:
        (m,) the share of negatives that each positive scores above, and (n,) the share of positives
        that each negative scores below; ties count half. The mean of either is the AUROC.
    """
    m, n = int(truth.sum()), int((~truth).sum())
    rank = rankdata(score)
    above = (rank[truth] - rankdata(score[truth])) / n
    below = 1 - (rank[~truth] - rankdata(score[~truth])) / m
    return above, below


def auroc_covariance(
    truth: np.ndarray, scores: np.ndarray, unit: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """AUROCs of several classifiers on the same images, and their covariance.

    Args:
        truth: (N,) bool, True for a positive.
        scores: (R, N) float, one row for each classifier.
        unit: (N,) ints from 0: the patient of each image.

    Returns:
        (R,) AUROCs and (R, R) covariances. All NaN without a positive or a negative; covariances
        NaN where fewer than two patients have a positive, or a negative.
    """
    count = len(scores)
    if truth.all() or not truth.any():
        return np.full(count, np.nan), np.full((count, count), np.nan)
    units = int(unit.max()) + 1
    parts = [placements(truth, score) for score in scores]
    auroc = np.array([above.mean() for above, _ in parts])
    ofs = (truth, ~truth)
    sizes = [np.bincount(unit[of], minlength=units) for of in ofs]
    # per patient: the sum of the components, less what it would be at the mean
    sums = [
        np.array([np.bincount(unit[of], part[i], units) for part in parts])
        - auroc[:, None] * sizes[i]
        for i, of in enumerate(ofs)
    ]
    m, n = int(truth.sum()), int((~truth).sum())
    own = [_spread(sums[i], int((sizes[i] > 0).sum())) for i in (0, 1)]
    patients = int((sizes[0] + sizes[1] > 0).sum())
    cross = patients / max(patients - 1, 1) * (sums[0] @ sums[1].T)
    return auroc, own[0] / m**2 + own[1] / n**2 + (cross + cross.T) / (m * n)


def paired_difference(
    truth: np.ndarray, first: np.ndarray, second: np.ndarray, unit: np.ndarray, level: float
) -> dict[str, float | None]:
    """The AUROC of `first` minus that of `second`, with its interval and two-sided p.

    Args:
        truth: (N,) float: 1, 0, or NaN, which counts nowhere.
        first: (N,) scores.
        second: (N,) scores of the same images.
        unit: (N,) ints from 0: the patient of each image.
        level: of the interval, in (0, 1).

    Returns:
        `value`, `low`, `high`, `p`, as `normal_interval` gives them; None where undefined.
    """
    known = np.isfinite(truth)
    pair = np.stack([first[known], second[known]])
    auroc, covariance = auroc_covariance(truth[known] == 1, pair, unit[known])
    value = float(auroc[0] - auroc[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if not math.isfinite(variance):
        known_value = value if math.isfinite(value) else None
        return {"value": known_value, "low": None, "high": None, "p": None}
    error = math.sqrt(variance) if variance > ROUNDING else 0.0
    fewer = min(len(np.unique(unit[truth == side])) for side in (0, 1))
    return normal_interval(value, error, level, fewer - 1)


def _spread(sums: np.ndarray, patients: int) -> np.ndarray:
    """Products of sums, enlarged as for a sample of so many patients; NaN below two."""
    if patients < 2:
        return np.full((len(sums), len(sums)), np.nan)
    return patients / (patients - 1) * (sums @ sums.T)
