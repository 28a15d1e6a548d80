"""Intervals for scores and for their differences, from resamples of whole patients.

The bootstrap gives the standard error; the interval is normal, on the logit scale for a score, so
that it stays within 0 and 1, and as it is for a difference. Percentile and BCa intervals were tried
and left out: average precision with few positives is biased upwards, in each resample once more,
and both then lie off the score that a set of this size has on average. Measured in
`experiments/coverage.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri, stdtr, stdtrit

from cxrkeras.evaluation.compare.resampling import Ranking, bootstrap
from cxrkeras.evaluation.scores.counted import counted

LEVEL, RESAMPLES, SEED = 0.95, 2000, 0
NO_SPREAD = 1e-12  # rounding leaves a spread of 0 a little above it


@dataclass(frozen=True)
class Resampled:
    """One score of R classifiers for K labels: as it is, and in each of B resamples.

    Attributes:
        value: (R, K); NaN for a label without a positive or a negative.
        draws: (R, K, B); NaN where the resample has none.
        spreads: (K,) bool: at least two units have a positive, and two a negative; else resampling
            can't show how far the score varies.
        step: (K,) half the smallest step that the AUROC can take: 1 / (2 P N).
        counted: (K,) bool: labels that count in the macro mean.
        freedom: degrees of freedom of a macro difference's standard error, for Student's t.
    """

    value: np.ndarray
    draws: np.ndarray
    spreads: np.ndarray
    step: np.ndarray
    counted: np.ndarray
    freedom: float = np.inf

    def undefined(self, labels: Sequence[str]) -> dict[str, int]:
        """In how many resamples a label had one class only, where it has both in the data."""
        missing = np.isnan(self.draws[0]).sum(axis=1)
        scored = np.isfinite(self.value[0])
        return {
            label: int(missing[k]) for k, label in enumerate(labels) if scored[k] and missing[k]
        }

    def of_label(self, r: int, k: int, level: float) -> dict[str, float | None]:
        """Score interval of classifier r for label k, as `score_interval` gives it."""
        if not self.spreads[k]:
            return {"value": _or_none(self.value[r, k]), "low": None, "high": None}
        return score_interval(self.value[r, k], self.draws[r, k], self.step[k], level)

    def of_macro(self, r: int, level: float) -> dict[str, float | None]:
        """Score interval of classifier r for the mean over labels, in a resample over its own."""
        return score_interval(*self.macro(r), self.macro_step, level)

    def macro(self, r: int) -> tuple[float, np.ndarray]:
        """The mean over the labels that count, and in each resample, (B,)."""
        value, draws = macro(self.value[r][self.counted]), macro(self.draws[r][self.counted])
        return float(value), draws

    @property
    def macro_step(self) -> float:
        """The smallest step among the labels that count."""
        usable = np.isfinite(self.step) & self.counted
        return float(np.min(self.step, initial=0.5, where=usable))

    def of_difference(self, first: int, second: int, level: float) -> dict[str, float | None]:
        """Interval of the difference between two classifiers' macro means, resample by resample."""
        (value, draws), (other, others) = self.macro(first), self.macro(second)
        return difference_interval(value - other, draws - others, level, self.freedom)


def resample(
    truth: np.ndarray,
    probs: Sequence[np.ndarray],
    unit: np.ndarray,
    labels: Sequence[str] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    done: Callable[[], object] = lambda: None,
) -> dict[str, Resampled]:
    """`auroc` and `average_precision` of several classifiers on the same resamples.

    Args:
        truth: (N, K) float: 1, 0, or NaN, which counts nowhere.
        probs: R arrays (N, K) of scores.
        unit: (N,) ints from 0, what is drawn as one, from `sampling_units`.
        labels: the K names, which decide what counts in the macro mean (`counted`); all without.
        resamples: B.
        seed: of the resamples.
        done: called once for each resample.
    """
    units, width = int(unit.max()) + 1, truth.shape[1]
    meant = counted(labels) if labels is not None else np.ones(width, bool)
    once = np.ones((units, 1), dtype=np.int32)
    values = np.array(
        [
            [Ranking(truth[:, k], p[:, k], unit, units).scores(once) for k in range(width)]
            for p in probs
        ]
    )[..., 0]
    counts = [(truth == side).sum(axis=0) for side in (1, 0)]
    owners = np.array(
        [[len(np.unique(unit[truth[:, k] == side])) for k in range(width)] for side in (1, 0)]
    )
    pairs = (counts[0] * counts[1]).astype(np.float64)
    step = np.divide(0.5, pairs, out=np.full(width, np.nan), where=pairs > 0)
    draws = bootstrap(truth, probs, unit, resamples=resamples, seed=seed, done=done)
    fewer = owners.min(axis=0)
    # average precision, whose resamples vary too much where positives are few, errs less anyway
    freedom = {"auroc": macro_freedom(fewer[meant]), "average_precision": np.inf}
    return {
        name: Resampled(values[..., i], draws[i], fewer >= 2, step, meant, freedom[name])
        for i, name in enumerate(freedom)
    }


def macro_freedom(fewer: np.ndarray) -> float:
    """Degrees of freedom of the standard error of a macro AUROC difference (Satterthwaite 1946).

    A label's variance is estimated from n patients, those with the finding or without, whichever
    are fewer: n - 1 degrees of freedom. Its share of the macro mean's variance is about as 1 / n.

    Args:
        fewer: (K,) those numbers; labels below 2 are left out.
    """
    n = fewer[fewer >= 2].astype(np.float64)
    return float(np.sum(1 / n) ** 2 / np.sum(1 / (n**2 * (n - 1)))) if len(n) else np.inf


def macro(scores: np.ndarray) -> np.ndarray:
    """Mean over the labels, the first axis of (K, ...), that have the score; NaN where none has."""
    known = np.isfinite(scores)
    count = known.sum(axis=0)
    total = np.where(known, scores, 0).sum(axis=0)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def score_interval(
    value: float, draws: np.ndarray, step: float, level: float
) -> dict[str, float | None]:
    """Interval of a score in [0, 1]: normal on the logit scale, with a bootstrap standard error.

    Args:
        value: the score on all images.
        draws: (B,) the score in each resample; NaN where undefined.
        step: a resample's 0 or 1 is taken for this far within, so that its logit is finite.
        level: in (0, 1).

    Returns:
        `value`, `low`, `high`. No interval where the score is undefined, or is 0 or 1: resampling
        shows no spread there.
    """
    known = draws[np.isfinite(draws)]
    if not 0 < value < 1 or len(known) < 2:
        return {"value": _or_none(value), "low": None, "high": None}
    error = np.std(logit(np.clip(known, step, 1 - step)), ddof=1)
    reach = error * ndtri((1 + level) / 2)
    low, high = expit(logit(value) + np.array([-reach, reach]))
    return {"value": float(value), "low": float(low), "high": float(high)}


def difference_interval(
    value: float, draws: np.ndarray, level: float, freedom: float = np.inf
) -> dict[str, float | None]:
    """Interval of a difference and its two-sided p, with the bootstrap's standard error.

    Args:
        value: the difference on all images.
        draws: (B,) the difference in each resample; NaN where undefined.
        level: in (0, 1).
        freedom: degrees of freedom of the standard error, see `normal_interval`.

    Returns:
        `value`, `low`, `high`, `p`, see `normal_interval`. No interval where it is undefined.
    """
    known = draws[np.isfinite(draws)]
    if not np.isfinite(value) or len(known) < 2:
        return {"value": _or_none(value), "low": None, "high": None, "p": None}
    return normal_interval(float(value), float(np.std(known, ddof=1)), level, freedom)


def normal_interval(
    value: float, error: float, level: float, freedom: float = np.inf
) -> dict[str, float | None]:
    """Interval and two-sided p of a difference with a standard error.

    Args:
        value: the difference.
        error: its standard error.
        level: in (0, 1).
        freedom: degrees of freedom of the standard error, for Student's t; infinite: normal.

    Returns:
        `value`, `low`, `high`, `p`; p is below 1 - level just where the interval leaves 0 out.
        Without any spread a difference of 0 has the interval 0 to 0 and p = 1; of another, which is
        then the same by whatever it is judged, nothing can be said.
    """
    if error <= NO_SPREAD:
        sure = abs(value) <= NO_SPREAD
        end, p = (value, 1.0) if sure else (None, None)
        return {"value": value, "low": end, "high": end, "p": p}
    normal = np.isinf(freedom)
    upper = (1 + level) / 2
    reach = error * float(ndtri(upper) if normal else stdtrit(freedom, upper))
    z = -abs(value) / error
    p = float(2 * (ndtr(z) if normal else stdtr(freedom, z)))
    return {"value": value, "low": value - reach, "high": value + reach, "p": p}


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (Scandinavian Journal of Statistics 1979;6:65).

    Args:
        p: m p-values; None for a test that couldn't be made, which isn't counted.

    Returns:
        The corrected values in the same places: a test is significant at alpha, whatever the others
        are, if its value is at most alpha.
    """
    order = sorted((i for i, value in enumerate(p) if value is not None), key=lambda i: p[i])
    corrected: list[float | None] = [None] * len(p)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p[i]))
        corrected[i] = highest
    return corrected


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
