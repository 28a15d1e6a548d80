"""Fits a dense layer on frozen features by scikit-learn's logistic regression."""

import keras
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from cxrkeras.data.distortion import Factor
from cxrkeras.data.folds.folds import make_folds
from cxrkeras.data.labels.targets import Targets
from cxrkeras.models.network import TARGET
from cxrkeras.training.recipes import Learned
from cxrkeras.training.recipes.shared.pooled.heads import Pooled
from cxrkeras.training.session import Learnt, Session
from data_prep.errors import UserError
from data_prep.progress import Steps
from data_prep.say import say

STRENGTHS = tuple(10.0**power for power in range(-6, 1))
"""Among which the strength is chosen."""
_PRECISE, _STEPS = 1e-6, 10_000  # of the gradient; at most so many


class Logistic(Pooled):
    """A `Fitter` of the dense layer, each label by itself.

    Copies of an image share its weight. A label of which only one class is known gets no slopes. A
    soft target counts as both classes, in its proportions, and a range by its middle.

    Args:
        session: what is to be learnt.
        copies: of `Pooled`.
        strength: scikit-learn's C; None to choose it by `inner` folds.
        inner: the number of these folds.
    """

    def __init__(self, session: Session, copies: int, strength: float | None, inner: int):
        self._strength, self._inner = strength, inner
        super().__init__(session, copies)

    def _learning(self, teaching: keras.Model | None) -> None:
        """Nothing is learnt step by step."""

    def fit(
        self,
        train: np.ndarray,
        validation: np.ndarray,
        targets: Targets,
        *,
        seed: int,
        title: str,
        **_,
    ) -> Learned:
        """See `Fitter.fit`; what steers other fits is left alone."""
        learnt = self._session.learnt(train, targets)
        copies = self._standardised(learnt)
        strength = self._strength
        if strength is None:
            strength = self._chosen(copies, train, targets, seed, title)
        kernel, bias = regressed(*self._rows(copies, learnt), strength)
        self._head.get_layer(TARGET).set_weights([kernel, bias])
        self._fold_scaling(kernel, bias)
        values = learnt.targets.known
        logits = np.float64(copies[0, learnt.index]) @ kernel + bias
        cost = np.nanmean(log_loss(values, logits))
        say(f"{title}: strength {strength:g}, log loss {cost:.4g}")
        self.facts["strength"] = strength
        history = pd.DataFrame([{"epoch": 1, "loss": cost, "strength": strength}])
        undistorted = Factor(np.ones(values.shape[1]))
        return Learned(history, targets[train], undistorted, self._session.beside)

    def _rows(self, copies: np.ndarray, learnt: Learnt) -> tuple:
        """Features (n, C) of images and copies, their targets (n, K), and weights (n, K)."""
        often = np.ones(len(learnt.index)) if learnt.weights is None else learnt.weights
        features = copies[:, learnt.index].reshape(-1, copies.shape[2])
        weights = often[:, None] * np.float64(learnt.targets.weighed[1]) / len(copies)
        values = np.tile(learnt.targets.known, (len(copies), 1))
        return np.float64(features), values, np.tile(weights, (len(copies), 1))

    def _chosen(
        self, copies: np.ndarray, train: np.ndarray, targets: Targets, seed: int, title: str
    ) -> float:
        """The strength with the smallest mean log loss over parts of the training rows."""
        patients = self._session.target.dataset.patients[train]
        try:
            parts = make_folds(targets.values[train], patients, self._inner, seed)
        except UserError as error:
            raise UserError(
                f"The strength can't be chosen within the training images: {error} Or give "
                "--recipe logistic:strength=0.001."
            ) from error
        costs = np.zeros(len(STRENGTHS))
        trials = self._inner * len(STRENGTHS)
        with Steps(f"{title}, choosing the strength", trials, transient=True) as steps:
            for part in range(self._inner):
                rows = self._rows(copies, self._session.learnt(train[parts != part], targets))
                held, start = train[parts == part], None
                for place, strength in enumerate(STRENGTHS):
                    start = regressed(*rows, strength, start)
                    logits = np.float64(copies[0, held]) @ start[0] + start[1]
                    cost = log_loss(targets[held].known, logits)
                    costs[place] += np.nansum(cost * targets[held].weighed[1])
                    steps.step()
        return STRENGTHS[int(costs.argmin())]


def regressed(
    features: np.ndarray,
    known: np.ndarray,
    weights: np.ndarray,
    strength: float,
    start: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The kernel (C, K) and bias (K,) of a logistic regression of each label.

    Args:
        features: (n, C).
        known: (n, K) in [0, 1], NaN for entries that aren't known.
        weights: (n, K) of the entries, or (n,) of the rows, not negative.
        strength: scikit-learn's C.
        start: a kernel and bias from which to begin.
    """
    width, labels = features.shape[1], known.shape[1]
    kernel, bias = np.zeros((width, labels)), np.zeros(labels)
    weights = np.broadcast_to(weights.reshape(len(known), -1), known.shape)
    for label in range(labels):
        rows = np.flatnonzero(~np.isnan(known[:, label]))
        share, often = np.float64(known[rows, label]), weights[rows, label]
        both = np.append(often * share, often * (1 - share))
        counts = both[: len(rows)].sum(), both[len(rows) :].sum()
        if not all(counts):  # half an entry for a class that is missing, so that it is finite
            bias[label] = np.log(max(counts[0], 0.5) / max(counts[1], 0.5))
            continue
        used = np.flatnonzero(both)
        fit = LogisticRegression(
            C=strength, tol=_PRECISE, max_iter=_STEPS, warm_start=start is not None
        )
        if start is not None:
            fit.coef_, fit.intercept_ = start[0][None, :, label], start[1][None, label]
        positive = used < len(rows)
        fit.fit(features[rows[used % len(rows)]], positive, sample_weight=both[used])
        kernel[:, label], bias[label] = fit.coef_[0], fit.intercept_[0]
    return kernel, bias


def log_loss(known: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """(n, K) of targets in [0, 1]; NaN where they are."""
    return known * np.logaddexp(0, -logits) + (1 - known) * np.logaddexp(0, logits)
