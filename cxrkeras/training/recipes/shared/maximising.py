"""A fit, then another of the same network with a loss of its own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cxrkeras.data.labels.targets import Targets
from cxrkeras.training.recipes import Fitter, Learned
from cxrkeras.training.recipes.shared.wrapping import Around


class Maximising(Around):
    """A `Fitter`, see `recipes.deep_auc`. `facts` also gives the number of epochs before.

    Args:
        first: of the training before.
        again: of the maximisation, whose `fit` takes `start`.
        epochs: of the maximisation.
        learning_rate: likewise.
        reset: which of the weights the maximisation doesn't take over; None for none.
    """

    def __init__(
        self,
        first: Fitter,
        again: Fitter,
        *,
        epochs: int,
        learning_rate: float,
        reset: Sequence[bool] | None,
    ):
        super().__init__(again)
        self._first, self._how = first, {"epochs": epochs, "learning_rate": learning_rate}
        self._reset = reset
        self._new = again.weights() if reset else []
        self._before: dict = {}

    @property
    def facts(self) -> dict:
        """See `Fitter`."""
        return {**self._last.facts, **self._before}

    def fit(
        self,
        train: np.ndarray,
        validation: np.ndarray,
        targets: Targets,
        *,
        epochs: int,
        learning_rate: float,
        title: str,
        checkpoint: Path | None = None,
        **how,
    ) -> Learned:
        """See `Fitter.fit`; epochs and rate are those before, the history that of the rest."""
        learned = self._first.fit(
            train,
            validation,
            targets,
            epochs=epochs,
            learning_rate=learning_rate,
            title=f"{title}, before",
            checkpoint=checkpoint and checkpoint.with_name(f"before-{checkpoint.name}"),
            **how,
        )
        self._before = {"before": {"epochs": len(learned.history)}}
        how |= {"title": f"{title}, maximising AUC", "checkpoint": checkpoint}
        return self._last.fit(train, validation, targets, start=self._start(), **self._how, **how)

    def _start(self) -> list[np.ndarray]:
        learnt = self._first.weights()
        if not self._reset:
            return learnt
        every = zip(learnt, self._new, self._reset, strict=True)
        return [new if reset else old for old, new, reset in every]
