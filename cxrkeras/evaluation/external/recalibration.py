"""Calibration of one label's probabilities on other films, and what a new intercept would mend.

Source: Cox, Biometrika 1958 (logistic recalibration); Van Calster et al., BMC Medicine 2019
(calibration in the large, intercept and slope).
"""

import numpy as np
from scipy.special import expit

from cxrkeras.data.distortion import log_odds
from cxrkeras.evaluation.compare.intervals import LEVEL, RESAMPLES, normal_interval
from cxrkeras.evaluation.compare.resampling import resample_counts
from cxrkeras.evaluation.scores.calibration import brier, log_loss

_STEPS, _PRECISE = 100, 1e-10
_PARTS = 5  # of the patients, for cross-fitting
_SEED = 0


def calibration_of(y: np.ndarray, p: np.ndarray, unit: np.ndarray) -> dict | None:
    """How well probabilities fit.

    Args:
        y: (n,) bool, the truth.
        p: (n,) in [0, 1], meant as probabilities.
        unit: (n,) ints, whose film each is.

    Returns:
        JSON-ready `observed` and `expected` shares; `ratio` observed / expected, `intercept` (of
        the log odds, the slope held at 1: 0 is right) and `slope` (of a line with an intercept of
        its own, 1 is right), {value, low, high} each; None where a class is missing. Intervals
        are by patients: of the ratio from resamples, of the others by the sandwich variance.
    """
    if not 0 < y.sum() < len(y):
        return None
    unit = np.unique(unit, return_inverse=True)[1]
    x = log_odds(p)
    offset = np.ones((len(x), 1))
    line = np.stack([np.ones(len(x)), x], axis=1)
    return {
        "observed": float(y.mean()),
        "expected": float(p.mean()),
        "ratio": _ratio(y, p, unit),
        "intercept": _estimate(offset, x, y, unit, 0),
        "slope": _estimate(line, np.zeros(len(x)), y, unit, 1),
    }


def updated(y: np.ndarray, p: np.ndarray, unit: np.ndarray) -> dict | None:
    """What recalibration in the large changes: all log odds moved by one number.

    It is fitted on four fifths of the patients and scored on the rest, five times over.

    Args:
        y: (n,) bool, the truth.
        p: (n,) in [0, 1].
        unit: (n,) ints, whose film each is.

    Returns:
        JSON-ready `before` and `after`, {`brier`, `log_loss`} each; None where the films outside a
        part lack a class.
    """
    part = parts_of(unit)
    after = np.empty(len(p))
    for number in range(_PARTS):
        here = part == number
        if not 0 < y[~here].sum() < (~here).sum():
            return None
        moved = logistic(np.ones(((~here).sum(), 1)), log_odds(p[~here]), y[~here])
        if moved is None:
            return None
        after[here] = expit(log_odds(p[here]) + moved[0])
    return {
        when: {"brier": brier(y, values), "log_loss": log_loss(y, values)}
        for when, values in (("before", p), ("after", after))
    }


def parts_of(unit: np.ndarray) -> np.ndarray:
    """(n,) which of five parts each film is in, all films of a patient in one."""
    numbers, of_film = np.unique(unit, return_inverse=True)
    drawn = np.random.default_rng(_SEED).permutation(len(numbers)) % _PARTS
    return drawn[of_film]


def logistic(design: np.ndarray, offset: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Maximum-likelihood coefficients of logit P(y) = offset + design @ b, by Newton's method.

    Args:
        design: (n, d).
        offset: (n,).
        y: (n,) bool.

    Returns:
        (d,) float64; None where there is no maximum, e.g. where a line parts the classes.
    """
    b = np.zeros(design.shape[1])
    cost = _cost(design, offset, y, b)
    for _ in range(_STEPS):
        p = expit(offset + design @ b)
        weights = p * (1 - p)
        try:
            step = np.linalg.solve((design.T * weights) @ design, design.T @ (y - p))
        except np.linalg.LinAlgError:
            return None
        while (new := _cost(design, offset, y, b + step)) > cost + 1e-12 * abs(cost):
            step = step / 2
            if np.abs(step).max() < _PRECISE:
                return b
        b, cost = b + step, new
        if np.abs(step).max() < _PRECISE:
            return b
    return None


def _cost(design: np.ndarray, offset: np.ndarray, y: np.ndarray, b: np.ndarray) -> float:
    x = offset + design @ b
    return float(np.sum(np.logaddexp(0, x) - x * y))


def _estimate(
    design: np.ndarray, offset: np.ndarray, y: np.ndarray, unit: np.ndarray, place: int
) -> dict[str, float | None]:
    b = logistic(design, offset, y)
    if b is None:
        return {"value": None, "low": None, "high": None}
    error = np.sqrt(sandwich(design, y - expit(offset + design @ b), unit)[place, place])
    found = normal_interval(float(b[place]), float(error), LEVEL)
    return {name: found[name] for name in ("value", "low", "high")}


def sandwich(design: np.ndarray, residual: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """(d, d) covariance of logistic coefficients, where films of a patient are alike.

    Liang and Zeger, Biometrika 1986, times G / (G - 1) for G patients.

    Args:
        design: (n, d).
        residual: (n,) y - p at the maximum.
        unit: (n,) ints from 0, each number used.
    """
    # p (1 - p) from the residual: y - p is 1 - p or -p
    spread = np.abs(residual) * (1 - np.abs(residual))
    bread = np.linalg.inv((design.T * spread) @ design)
    groups = int(unit.max()) + 1
    sums = np.stack([np.bincount(unit, residual * column, groups) for column in design.T], axis=1)
    return bread @ (sums.T @ sums) @ bread * groups / max(groups - 1, 1)


def _ratio(y: np.ndarray, p: np.ndarray, unit: np.ndarray) -> dict[str, float | None]:
    groups = int(unit.max()) + 1
    seen, meant = np.bincount(unit, y, groups), np.bincount(unit, p, groups)
    if not meant.sum() > 0:
        return {"value": None, "low": None, "high": None}
    value = float(seen.sum() / meant.sum())
    draws = [(seen @ c, meant @ c) for c in resample_counts(groups, RESAMPLES, _SEED)]
    above, below = (np.concatenate(parts) for parts in zip(*draws, strict=True))
    there = (above > 0) & (below > 0)
    known = np.log(above[there] / below[there])
    found = normal_interval(np.log(value), float(np.std(known, ddof=1)), LEVEL)
    ends = {name: found[name] for name in ("low", "high")}
    return {"value": value} | {n: None if v is None else float(np.exp(v)) for n, v in ends.items()}
