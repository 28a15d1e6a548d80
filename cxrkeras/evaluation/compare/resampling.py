"""Bootstrap of AUROC and average precision over whole patients, thousands of resamples in seconds.

A resample draws as many patients as there are, with replacement, so it is a count for each patient,
and its scores are those of the images weighted by their patient's count. A label's images are
sorted once. What a score needs of them is how many positives stand at each score that a positive
has, and how many negatives above and beside it: sums of counts, that is, one sparse matrix of
patients times all resamples at once.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.sparse import csr_array

AT_ONCE = 1 << 19  # counts held at a time: 2 MB, whatever the number of resamples


def sampling_units(images: Sequence[str], patients: Sequence[str]) -> np.ndarray:
    """Number what is drawn as one: the patient, or the image where no patient is known.

    Args:
        images: N names.
        patients: N pseudonyms; "" where unknown.

    Returns:
        (N,) ints from 0, in the names' order, so that the order of the rows decides nothing.
    """
    keys = [(bool(p), p or image) for image, p in zip(images, patients, strict=True)]
    numbers = {key: i for i, key in enumerate(sorted(set(keys)))}
    return np.array([numbers[key] for key in keys])


def drawn_words(patients: int, units: int) -> str:
    """What is drawn as one, in words that are true whether or not patients are known.

    Args:
        patients: how many are known.
        units: how many units there are: those, and images without a patient.
    """
    if not patients:
        return "images (patients unknown)"
    return "whole patients" + (" and images without one" if units > patients else "")


def resample_counts(
    units: int, resamples: int, seed: int, at_once: int = AT_ONCE
) -> Iterator[np.ndarray]:
    """How often each unit was drawn, in each resample.

    Args:
        units: how many there are; each resample draws as many, with replacement.
        resamples: how many resamples there are in all.
        seed: the same seed gives the same resamples, however many are made at once.
        at_once: how many counts to hold at a time.

    Yields:
        (units, B) int32, B resamples at a time; each column sums to `units`.
    """
    random = np.random.default_rng(seed)
    step = max(1, at_once // units)
    for start in range(0, resamples, step):
        b = min(step, resamples - start)
        drawn = random.integers(0, units, size=(b, units))
        drawn += units * np.arange(b)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=b * units).reshape(b, units)
        yield np.ascontiguousarray(counts.T, dtype=np.int32)


def bootstrap(
    truth: np.ndarray,
    probs: Sequence[np.ndarray],
    unit: np.ndarray,
    *,
    resamples: int,
    seed: int,
    done: Callable[[], object] = lambda: None,
) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and average precision of several classifiers on the same resamples.

    Args:
        truth: (N, K) float: 1, 0, or NaN, which counts nowhere.
        probs: R arrays (N, K) of scores, one for each classifier.
        unit: (N,) ints from 0, as `sampling_units` gives them.
        resamples: B.
        seed: of the resamples.
        done: called once for each resample.

    Returns:
        AUROC and average precision, (R, K, B) float64 each; NaN where the resample has no positive
        or no negative of the label.
    """
    units, labels = int(unit.max()) + 1, truth.shape[1]
    rankings = [
        [Ranking(truth[:, k], prob[:, k], unit, units) for k in range(labels)] for prob in probs
    ]
    auroc, precision = np.empty((2, len(probs), labels, resamples))
    start = 0
    for counts in resample_counts(units, resamples, seed):
        here = slice(start, start + counts.shape[1])
        for r, row in enumerate(rankings):
            for k, ranking in enumerate(row):
                auroc[r, k, here], precision[r, k, here] = ranking.scores(counts)
        for _ in range(here.start, here.stop):
            done()
        start = here.stop
    return auroc, precision


class Ranking:
    """One label's known images in the order of their scores, ready to be counted.

    Args:
        truth: (N,) float: 1, 0 or NaN = unknown.
        score: (N,) float, higher means more likely.
        unit: (N,) ints in [0, units).
        units: how many units a resample has counts for.
    """

    def __init__(self, truth: np.ndarray, score: np.ndarray, unit: np.ndarray, units: int) -> None:
        known = np.isfinite(truth)
        positive, score, unit = truth[known] == 1, -score[known], unit[known]
        # the distinct scores of positives, highest first; G of them
        levels, place = np.unique(score[positive], return_inverse=True)
        # a negative stands beside level g, or above it and below level g - 1
        above = np.searchsorted(levels, score[~positive], side="left")
        until = np.searchsorted(levels, score[~positive], side="right")
        tied = until > above
        beside = above[tied], unit[~positive][tied]
        between = above[~tied], unit[~positive][~tied]
        self._positives = _counter(place, unit[positive], len(levels), units)
        self._between = _counter(*between, len(levels) + 1, units)
        self._beside = _counter(*beside, len(levels), units) if tied.any() else None

    def scores(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """AUROC and average precision with each image counted as often as its unit was drawn.

        They are scikit-learn's `roc_auc_score` and `average_precision_score` with those counts as
        weights: ties count half in the one, and share a threshold in the other.

        Args:
            counts: (units, B) int32.

        Returns:
            (B,) float64 each; NaN without a positive or without a negative.
        """
        here = self._positives @ counts
        more = self._between @ counts
        alarms, rest = more[:-1], more[-1]
        half = 0.0
        if self._beside is not None:
            beside = self._beside @ counts
            alarms = alarms + beside
            half = np.einsum("gb,gb->b", here, beside, dtype=np.float64) / 2
        # whole numbers below 2**53: exact
        found, alarms = (part.cumsum(axis=0, dtype=np.float64) for part in (here, alarms))
        positives, negatives = _last(found, rest), _last(alarms, rest) + rest
        defined = (positives > 0) & (negatives > 0)
        pairs = np.where(defined, positives * negatives, np.nan)
        auroc = 1 - (np.einsum("gb,gb->b", here, alarms) - half) / pairs
        called = np.maximum(found + alarms, 1, out=alarms)  # 0 only where no positive is weighed
        precision = np.einsum("gb,gb->b", here, np.divide(found, called, out=called))
        return auroc, precision / np.where(defined, positives, np.nan)


def _last(sums: np.ndarray, like: np.ndarray) -> np.ndarray:
    return sums[-1] if len(sums) else np.zeros(like.shape)


def _counter(row: np.ndarray, unit: np.ndarray, rows: int, units: int) -> csr_array:
    """(rows, units) matrix that turns counts of units into counts of images at each row."""
    ones = np.ones(len(row), dtype=np.int32)
    return csr_array((ones, (row, unit)), shape=(rows, units), dtype=np.int32)
