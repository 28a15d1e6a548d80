"""Support vector machines, one per label, on a kernel; their decisions become probabilities."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.svm import SVC

_LEAST = 1e-3  # slope per standard deviation: the order of decisions is kept, whatever they tell


class Machine(NamedTuple):
    """One label's: its decision value of an image is kernel · `dual` + `bias`.

    Args:
        dual: (N,) of the training images; 0 where one isn't a support vector.
        bias: the constant.
        slope: of the log odds along the decision value.
        offset: of the log odds.
        told: (N,) the log odds of the training images by machines that hadn't learnt from them,
            NaN where there is none.
    """

    dual: np.ndarray
    bias: float
    slope: float
    offset: float
    told: np.ndarray


def fit_machine(
    kernel: np.ndarray,
    truth: np.ndarray,
    folds: np.ndarray,
    c: float,
    weights: np.ndarray | None = None,
) -> Machine:
    """A machine by hinge loss, and its sigmoid by Platt (1999), out of fold.

    Args:
        kernel: (N, N) float64.
        truth: (N,) in [0, 1], NaN where unknown. A value between counts as both classes, by its
            weight.
        folds: (N,) of the machines whose decisions the sigmoid is fitted on.
        c: of the hinge loss.
        weights: (N,) as how much of an entry each counts; None for 1.

    Returns:
        Where a class is missing, the prior alone: a missing class counts as half an image.
    """
    known = np.isfinite(truth)
    weights = np.ones(len(truth)) if weights is None else weights
    positive, negative = (weights * truth)[known].sum(), (weights * (1 - truth))[known].sum()
    prior = float(np.log(max(positive, 0.5) / max(negative, 0.5)))
    whole = _fit(kernel, truth, weights, known, c)
    if whole is None:
        return Machine(np.zeros(len(truth)), 0.0, 0.0, prior, np.full(len(truth), np.nan))
    decisions = np.full(len(truth), np.nan)
    for fold in np.unique(folds):
        held = folds == fold
        if (part := _fit(kernel, truth, weights, known & ~held, c)) is not None:
            decisions[held] = kernel[held] @ part[0] + part[1]
    of = known & np.isfinite(decisions)
    both = 0 < truth[of].sum() < of.sum()
    slope, offset = _platt(decisions[of], truth[of], weights[of]) if both else (1.0, prior)
    return Machine(*whole, slope, offset, np.where(of, slope * decisions + offset, np.nan))


def _fit(kernel, truth, entries, rows, c) -> tuple[np.ndarray, float] | None:
    """(N,) duals and the bias, learnt from some rows; None where a class is missing."""
    rows = np.flatnonzero(rows)
    shares = truth[rows]
    index = np.concatenate([rows[shares > 0], rows[shares < 1]])
    weights = np.concatenate([shares[shares > 0], 1 - shares[shares < 1]]) * entries[index]
    classes = np.repeat([1, 0], [(shares > 0).sum(), (shares < 1).sum()])
    if len(np.unique(classes)) < 2:
        return None
    machine = SVC(C=c, kernel="precomputed")
    machine.fit(kernel[np.ix_(index, index)], classes, sample_weight=weights)
    dual = np.zeros(len(truth))
    np.add.at(dual, index[machine.support_], machine.dual_coef_[0])
    return dual, float(machine.intercept_[0])


def _platt(decisions: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the log odds, with Platt's targets, which aren't quite 0 and 1."""
    positive, negative = weights @ truth, weights @ (1 - truth)
    targets = truth * (positive + 1) / (positive + 2) + (1 - truth) / (negative + 2)
    spread = decisions.std() or 1.0
    scaled = decisions / spread
    shares = weights / weights.sum()

    def loss(at):
        odds = at[0] * scaled + at[1]
        wrong = shares * (expit(odds) - targets)
        losses = np.logaddexp(0, odds) - targets * odds
        return shares @ losses, (wrong @ scaled, wrong.sum())

    start = (1.0, np.log((positive + 1) / (negative + 1)))
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(_LEAST, None), (None, None)]
    )
    return float(found.x[0] / spread), float(found.x[1])
