"""Fits by passing images through the network in every epoch."""

from pathlib import Path

import numpy as np

from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import image_batches
from cxrkeras.models.network import TARGET
from cxrkeras.training.fitting.learner import Learner
from cxrkeras.training.recipes import Fitter, Learned
from cxrkeras.training.recipes.shared.saving import save_keras
from cxrkeras.training.session import Session, part


class Passing(Fitter):
    """A `Fitter` of the whole network, or of the layers on top of frozen trunks.

    Args:
        session: what is to be learnt.
        frozen: leave the trunks as they are, including batch-norm statistics.
    """

    def __init__(self, session: Session, *, frozen: bool = False):
        self.facts: dict = {}  # nothing to add to the fit's own
        self._twins, self._inputs = session.twins(), session.images
        for network in (self._twins.kept, self._twins.learning):
            for trunk in network.trunks:
                trunk.trainable = not frozen
        self._batch = session.plan.experiment.batch_size
        target = session.target
        rows = np.flatnonzero(target.folds != target.fold_numbers[0])
        train = part(self._inputs, rows, target.targets)
        self._learner = Learner(
            self._twins.learning.logits,
            session.plan,
            [train],
            augment=session.plan.augment,
            compute=session.compute,
        )

    def fit(self, train: np.ndarray, validation: np.ndarray, targets: Targets, **how) -> Learned:
        """See `Fitter.fit`; `start` are weights to learn on from, as `weights` gives them."""
        learned = [part(self._inputs, train, targets)]
        held = [part(self._inputs, validation, targets)] if len(validation) else []
        history = self._learner.learn(learned, held, **how)
        self._twins.learn()
        return Learned(history, targets[train], self._learner.distortions(learned)[TARGET])

    def weights(self) -> list[np.ndarray]:
        """Those of the last fit, trunks and head."""
        return self._twins.kept.logits.get_weights()

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """See `Fitter.predict`."""
        batches = image_batches(self._inputs, rows, self._batch)
        return self._twins.kept.probability.predict(batches, verbose=0)

    def save(self, folder: Path) -> dict:
        """See `Fitter.save`."""
        return save_keras(self._twins.kept.probability, folder)
