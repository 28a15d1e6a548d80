"""Fits by passing images through the network in every epoch."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import keras
import numpy as np
import pandas as pd

from cxrkeras.data.labels.entries import MASKED
from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import Part, image_batches
from cxrkeras.models.familiar.tensors import feature_layers, with_features
from cxrkeras.models.graph import source
from cxrkeras.models.network import TARGET
from cxrkeras.models.prior import uncertain_name
from cxrkeras.training.fitting.learner import Learner
from cxrkeras.training.recipes import Fitter, Learned
from cxrkeras.training.recipes.shared.saving import save_keras
from cxrkeras.training.session import Session, part


class Passing(Fitter):
    """A `Fitter` of the whole network, or of the layers on top of frozen trunks.

    Args:
        session: what is to be learnt.
        frozen: leave the trunks as they are, including batch-norm statistics.
        beside: (N, L) targets of further outputs by name, for all rows of the target. They are
            learnt too, don't steer, and are no part of the model.
    """

    def __init__(
        self,
        session: Session,
        *,
        frozen: bool = False,
        beside: Mapping[str, np.ndarray] = MappingProxyType({}),
    ):
        told = {name: _about(values) for name, values in beside.items()}
        self.facts: dict = told | session.facts
        self._beside = {name: Targets(values) for name, values in beside.items()}
        widths = {name: values.shape[1] for name, values in beside.items()}
        self._twins = session.twins(build=lambda: session.built(widths))
        self._session, self._inputs = session, session.images
        for network in (self._twins.kept, self._twins.learning):
            for trunk in network.trunks:
                trunk.trainable = not frozen
        self._batch = session.plan.experiment.batch_size
        self._layers = feature_layers(self._twins.kept.features)
        self._both = with_features(self.model(), self._layers)
        self._seen: tuple[np.ndarray, np.ndarray] | None = None
        target = session.target
        rows = np.flatnonzero(target.folds != target.fold_numbers[0])
        train = self._part(rows, target.targets)
        self._learner = Learner(
            self._twins.learning.logits,
            session.plan,
            [train],
            augment=session.plan.augment,
            compute=session.compute,
            teaching=self._twins.learning.teaching,
        )

    def fit(self, train: np.ndarray, validation: np.ndarray, targets: Targets, **how) -> Learned:
        """See `Fitter.fit`; `start` are weights to learn on from, as `weights` gives them."""
        self._seen = None
        learned = [self._part(train, targets)]
        held = [self._part(validation, targets, learnt=False)] if len(validation) else []
        history = self._learner.learn(learned, held, **how)
        self._twins.learn()
        distortion = self._learner.distortions(learned)[TARGET]
        return Learned(_named(history), targets[train], distortion, self._session.beside)

    def _part(self, rows: np.ndarray, targets: Targets, *, learnt: bool = True) -> Part:
        if learnt and self._session.rows:
            given = self._session.learnt(rows, targets)
            return Part(
                TARGET, self._session.all_images, given.index, given.targets, weights=given.weights
            )
        found = {name: more[rows] for name, more in self._beside.items()}
        if not learnt:
            found = {n: Targets(np.full_like(t.values, MASKED)) for n, t in found.items()}
        return part(self._inputs, rows, targets)._replace(beside=found)

    def weights(self) -> list[np.ndarray]:
        """Those of the last fit, trunks and head, without what is beside it."""
        logits = self._twins.kept.logits
        if self._beside:
            logits = keras.Model(logits.inputs, logits.output[TARGET])
        return logits.get_weights()

    def ending(self) -> list[bool]:
        """Which of `weights` are of the layers that end the output; not beside others."""
        logits = self._twins.kept.logits
        names = TARGET, uncertain_name(TARGET)
        ends = [layer for layer in logits.layers if layer.name in names]
        # One that only scales stands behind the one that learns.
        ends = [e if e.weights else source(e.input)[0] for e in ends]
        last = {id(weight) for layer in ends for weight in layer.weights}
        return [id(weight) in last for weight in logits.weights]

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """See `Fitter.predict`."""
        batches = image_batches(self._inputs, rows, self._batch)
        if self._both is None:
            return self.model().predict(batches, verbose=0)
        features, probabilities = self._both.predict(batches, verbose=0)
        self._seen = rows, features
        return probabilities

    def features(self, rows: np.ndarray) -> np.ndarray | None:
        """See `Fitter.features`."""
        if self._both is None:
            return None
        if self._seen is None or not np.array_equal(self._seen[0], rows):
            self.predict(rows)
        return self._seen[1]

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """See `Fitter.feature_layers`."""
        return self._layers if self._both is not None else ()

    def save(self, folder: Path) -> dict:
        """See `Fitter.save`."""
        return save_keras(self.model(), folder)

    def model(self) -> keras.Model:
        """Inputs -> (N, K) probabilities by the last fit."""
        return self._twins.kept.probability


def _about(values: np.ndarray) -> dict:
    """What `fold.json` says of an output beside the model's."""
    known = int((values != MASKED).any(axis=1).sum())
    digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]
    return {"outputs": values.shape[1], "images": known, "digest": digest}


def _named(history: pd.DataFrame) -> pd.DataFrame:
    """The history with the target's scores under their plain names, where others are beside."""
    names = {f"{TARGET}_{score}": score for score in ("binary_accuracy", "mae")}
    return history.rename(columns=names | {f"val_{n}": f"val_{s}" for n, s in names.items()})
