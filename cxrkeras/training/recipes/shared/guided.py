"""Fits a global branch, then a local one, then their fusion."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from scipy.special import expit

from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import Part, image_batches
from cxrkeras.models.branches import GLOBAL, LOCAL, Branches, build_branches
from cxrkeras.models.network import TARGET
from cxrkeras.training.fitting.learner import Learner
from cxrkeras.training.recipes import Fitter, Learned
from cxrkeras.training.recipes.shared.saving import save_keras
from cxrkeras.training.session import Session

_WORDS = {GLOBAL: "global branch", LOCAL: "local branch", TARGET: "fusion"}


class Guided(Fitter):
    """A `Fitter` of two branches and their fusion, one after another.

    Each step has an optimiser, a schedule and a checkpoint of its own, and leaves what was learnt
    before as it is. After a kill the earlier steps restore their end from their checkpoints.

    Args:
        session: what is to be learnt.
        tau: see `regions.cropped`.
        epochs: of the steps that don't take as many as the first, by the names of `Branches.steps`.
    """

    def __init__(self, session: Session, tau: float, epochs: Mapping[str, int]):
        self.facts: dict = {}
        plan, target = session.plan, session.target
        labels, asked = len(target.dataset.labels), target.targets.three_way
        self._twins = session.twins(
            build=lambda: build_branches(plan.architecture, labels, tau, asked)
        )
        self._inputs, self._batch = session.images, plan.experiment.batch_size
        self._epochs = dict(epochs)
        rows = np.flatnonzero(target.folds != target.fold_numbers[0])
        self._learners = {
            name: Learner(
                learning.steps[name],
                plan,
                [self._part(name, rows, target.targets)],
                augment=plan.augment,
                compute=session.compute,
                held=learning.held[name],
            )
            for name, learning in self._in_turn()
        }

    def _in_turn(self) -> Iterator[tuple[str, Branches]]:
        """The steps, with what each leaves as it is not trainable meanwhile."""
        for name in _WORDS:
            for network in {id(n): n for n in (self._twins.kept, self._twins.learning)}.values():
                for trunk_and_head in network.held[TARGET]:
                    trunk_and_head.trainable = trunk_and_head not in network.held[name]
            yield name, self._twins.learning

    def _part(self, name: str, rows: np.ndarray, targets: Targets) -> Part:
        return Part(name, self._inputs, rows, targets[rows])

    def fit(
        self,
        train: np.ndarray,
        validation: np.ndarray,
        targets: Targets,
        *,
        epochs: int,
        title: str,
        checkpoint: Path | None = None,
        **how,
    ) -> Learned:
        """See `Fitter.fit`; the history counts the epochs of all steps on."""
        tables = []
        for name, _ in self._in_turn():
            learned = [self._part(name, train, targets)]
            held = [self._part(name, validation, targets)] if len(validation) else []
            own = checkpoint
            if checkpoint and name != TARGET:
                own = checkpoint.with_name(f"{name}-{checkpoint.name}")
            table = self._learners[name].learn(
                learned,
                held,
                epochs=self._epochs.get(name, epochs),
                title=f"{title}, {_WORDS[name]}",
                checkpoint=own,
                **how,
            )
            tables.append(table.assign(step=_WORDS[name]))
        self._twins.learn()
        history = pd.concat(tables, ignore_index=True)
        history["epoch"] = range(1, len(history) + 1)
        return Learned(history, targets[train], self._learners[TARGET].distortions(learned)[TARGET])

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """See `Fitter.predict`; the fusion's."""
        return self._predicted(self.model(), rows)

    def branches(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """See `Fitter.branches`: of `GLOBAL` and `LOCAL`."""
        logits = self._predicted(self._twins.kept.logits, rows)
        return {name: expit(logits[name]) for name in (GLOBAL, LOCAL)}

    def _predicted(self, model: keras.Model, rows: np.ndarray):
        batches = image_batches(self._inputs, rows, self._batch)
        return model.predict(batches, verbose=0)

    def save(self, folder: Path) -> dict:
        """See `Fitter.save`; a map of the head's own would be of one branch."""
        return save_keras(self.model(), folder) | {"head": None}

    def model(self) -> keras.Model:
        """See `Fitter.model`."""
        return self._twins.kept.probability
