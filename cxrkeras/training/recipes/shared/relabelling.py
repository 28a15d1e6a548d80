"""A fit that replaces entries by out-of-fold predictions within its own training images."""

from pathlib import Path
from typing import Protocol

import numpy as np

from cxrkeras.data.folds.folds import make_folds
from cxrkeras.data.labels.targets import Targets
from cxrkeras.training.recipes import Fitter, Learned
from cxrkeras.training.recipes.shared.wrapping import Around
from cxrkeras.training.session import Session
from data_prep.errors import UserError
from data_prep.say import say


class Rule(Protocol):
    """How entries are replaced: the options of `recipes.relabelled`."""

    inner: int
    confidence: float
    soft: bool
    weight: float


class Relabelling(Around):
    """A `Fitter`, see `recipes.relabelled`. `facts` counts by label the entries that were to be
    replaced, those that were, and the sum of their new targets.

    Args:
        session: what is to be learnt.
        first: of the inner models, and of the model on which the head learns on.
        again: of the head alone, whose `fit` takes `start`; None where `first` leaves trunks as
            they are: then it learns once more, from the new targets.
        rule: see there.
    """

    def __init__(self, session: Session, first: Fitter, again: Fitter | None, rule: Rule):
        self._dataset, self._rule = session.target.dataset, rule
        super().__init__(first)
        self._first, self._again = first, again

    def fit(
        self,
        train: np.ndarray,
        validation: np.ndarray,
        targets: Targets,
        *,
        title: str,
        seed: int,
        checkpoint: Path | None = None,
        **how,
    ) -> Learned:
        """See `Fitter.fit`; only known entries steer. Each of its fits keeps a state of its own."""

        def fit(fitter: Fitter, rows: np.ndarray, taught: Targets, what: str, **more) -> Learned:
            beside = checkpoint
            if checkpoint and what:
                beside = checkpoint.with_name(f"{what.replace(' ', '-')}-{checkpoint.name}")
            titled = f"{title}, {what}" if what else title
            return fitter.fit(
                rows, validation, taught, title=titled, seed=seed, checkpoint=beside, **more, **how
            )

        asked = targets[train].guessed
        if asked is None:
            self._last, self._own = self._first, {}
            return fit(self._first, train, targets, "")
        found = np.full(asked.shape, np.nan)
        for number, held in enumerate(self._inner(train, targets, seed), start=1):
            rows = np.flatnonzero(held & asked.any(axis=1))
            if len(rows):
                learned = fit(self._first, train[~held], targets, f"inner fold {number}")
                found[rows] = _undistorted(learned, self._first.predict(train[rows]))
        filled = relabelled(targets[train], found, self._rule)
        self._own = {"relabelled": self._counted(asked, filled)}
        taught = targets.placed(train, filled)
        if self._again is None:
            self._last = self._first
            return fit(self._first, train, taught, "")
        fit(self._first, train, targets, "before relabelling")
        self._last = self._again
        return fit(self._again, train, taught, "", start=self._first.weights())

    def _inner(self, train: np.ndarray, targets: Targets, seed: int) -> list[np.ndarray]:
        """[(n,) bool]: the training rows that each inner fold holds out, whole patients."""
        known, patients = targets[train].known, self._dataset.patients[train]
        try:
            folds = make_folds(known, patients, self._rule.inner, seed)
        except UserError as error:
            raise UserError(
                f"--recipe relabelled splits {len(train)} training images into {self._rule.inner} "
                "inner folds, for which there are too few patients. Give a smaller inner."
            ) from error
        return [folds == fold for fold in range(self._rule.inner)]

    def _counted(self, asked: np.ndarray, filled: Targets) -> dict[str, dict]:
        values = np.where(asked & (filled.values >= 0), filled.values, np.nan)
        told = {}
        for k, label in enumerate(self._dataset.labels):
            if asked[:, k].any():
                replaced = int(np.isfinite(values[:, k]).sum())
                total = round(float(np.nansum(values[:, k], dtype=np.float64)), 3)
                told[label] = {"asked": int(asked[:, k].sum()), "replaced": replaced, "sum": total}
                if not replaced:
                    say(f"{label}: none of {told[label]['asked']} entries could be replaced")
        return told


def relabelled(targets: Targets, probabilities: np.ndarray, rule: Rule) -> Targets:
    """Targets whose guessed entries are replaced; all others stay as they are.

    Args:
        targets: (N, K).
        probabilities: (N, K) in [0, 1], NaN where there is none.
        rule: how far a probability must be from one half, and what an entry becomes. A label of
            which not both classes are known has no entry replaced: nothing was learnt of it.
    """
    counts = targets.counts
    sure = np.maximum(probabilities, 1 - probabilities) >= rule.confidence  # NaN isn't
    sure &= (counts > 0).all(axis=1)
    made = probabilities if rule.soft else np.where(probabilities >= 0.5, 1.0, 0.0)
    return targets.filled(np.where(sure, made, -1.0), rule.weight)


def _undistorted(learned: Learned, scores: np.ndarray) -> np.ndarray:
    """Probabilities, where it is known what the loss did to them."""
    known = learned.distortion
    return np.asarray(scores if known is None else known.undistort(scores), np.float64)
