"""Learns as usual, then the last layer anew and all else on, so that AUC is as large as possible.

Source: Yuan et al., Large-scale Robust Deep AUC Maximization, ICCV 2021.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cxrkeras.data.labels.targets import Targets
from cxrkeras.models.losses import auc_margin
from cxrkeras.registry import option
from cxrkeras.training.optimizers.adam import Part as Usual
from cxrkeras.training.recipes import Fitter, Learned
from cxrkeras.training.recipes.shared.wrapping import Around, Wrapping, has_weights
from data_prep.errors import UserError

_OF_LOSS = auc_margin.Part.model_fields


class Part(Wrapping):
    """--loss, --optimizer, --epochs and --learning-rate are those before: cross-entropy, Adam and
    1e-4 in the paper's code. The maximisation has its own loss (`auc_margin`) and optimiser, and no
    validation image steers it. What is saved is its last epoch's model.
    """

    base: str = option("finetune", "Recipe of the training before.")
    reset: bool = option(True, "Begin the maximisation with a new last layer.")
    epochs: int = option(2, "Of the maximisation.", ge=1)
    learning_rate: float = option(0.1, "Of the maximisation, at its start.", gt=0)
    lower_after: int = option(
        1, "After so many of its epochs, a tenth of the rate; 0 for never.", ge=0
    )
    margin: float = _OF_LOSS["margin"]
    momentum: float = _OF_LOSS["momentum"]
    epoch_decay: float = _OF_LOSS["epoch_decay"]
    weight_decay: float = _OF_LOSS["weight_decay"]

    def check(self, plan):
        """As the wrapped recipe does; and see `Recipe.check`."""
        super().check(plan)
        if isinstance(plan.loss, auc_margin.Part):
            raise UserError(
                f"--recipe {self.part_name()} brings the AUC margin itself; --loss is that of the "
                f"training before. Received: --loss {plan.loss}. Give --loss bce."
            )
        if self.freezes and self.reset:
            raise UserError(
                f"--recipe {self}: on a frozen trunk a new last layer forgets all that was learnt "
                "before. Add reset=false."
            )
        if self.freezes:
            self.within().check(self._plan(plan))  # which fits the maximisation too

    def fitter(self, session):
        """See `Recipe.fitter`."""
        from cxrkeras.training.recipes.shared.passing import Passing

        within = self.within()
        first = within.fitter(session)
        if not has_weights(first):
            raise UserError(
                f"--recipe {self}: AUC is maximised in the network of the training before, which "
                f"{within} has changed. Take another base."
            )
        maximising = session.under(self._plan(session.plan))
        again = within.fitter(maximising) if self.freezes else Passing(maximising)
        how = {"epochs": self.epochs, "learning_rate": self.learning_rate}
        return _Maximising(first, again, **how, reset=again.ending() if self.reset else None)

    def _plan(self, plan):
        """That of the maximisation."""
        loss = auc_margin.Part(**{name: getattr(self, name) for name in _OF_LOSS})
        steps = (self.lower_after,) if self.lower_after else ()
        settings = {"step_epochs": steps, "plateau_factor": 0.1}
        experiment = plan.experiment.model_copy(update=settings)
        return replace(plan, experiment=experiment, loss=loss, optimizer=Usual())


class _Maximising(Around):
    """A `Fitter` of both trainings; `facts` also gives the number of epochs before.

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
        self._own = {"before": {"epochs": len(learned.history)}}
        how |= {"title": f"{title}, maximising AUC", "checkpoint": checkpoint}
        return self._last.fit(train, validation, targets, start=self._start(), **self._how, **how)

    def _start(self) -> list[np.ndarray]:
        learnt = self._first.weights()
        if not self._reset:
            return learnt
        every = zip(learnt, self._new, self._reset, strict=True)
        return [new if reset else old for old, new, reset in every]
