"""A trainer set up and driven as an experiment says."""

from collections.abc import Sequence

import keras
import numpy as np
import pandas as pd

from cxrkeras.data.folds import hold_out
from cxrkeras.data.pipeline import Part, labelled_batches
from cxrkeras.training.experiment import Experiment
from cxrkeras.training.fit import Schedule, Trainer, quicken_batch_norm
from data_prep.errors import UserError

_FEW_STEPS = 2000  # below it Keras's moving averages still hold part of their start
_SETTLE_STEPS = 200


class Learner:
    """Fits one graph of logits, any number of times.

    Args:
        logits: inputs -> {head: logits}; its own weights are fitted.
        experiment: the settings.
        train: parts as large as those that will be learned from (they set the batch-norm momentum).
        augment: a preset, `none` where the inputs are no images.
        average: see `Trainer`.
    """

    def __init__(
        self,
        logits: keras.Model,
        experiment: Experiment,
        train: Sequence[Part],
        *,
        augment: str,
        average: bool = False,
    ):
        self._experiment = experiment
        if experiment.batch_norm != "never":
            quicken_batch_norm(logits, self._steps(train))
        self._trainer = Trainer(logits, loss=experiment.loss, augment=augment, average=average)

    def learn(
        self,
        train: Sequence[Part],
        validation: Sequence[Part],
        *,
        epochs: int,
        learning_rate: float,
        seed: int,
        title: str,
    ) -> pd.DataFrame:
        """Fit from the start state, then estimate the batch-norm statistics where steps were few.

        Returns:
            The history, see `Trainer.fit`.
        """
        settings = self._experiment
        batch = settings.batch_size
        history = self._trainer.fit(
            labelled_batches(train, batch, shuffle=seed),
            labelled_batches(validation, batch) if validation else None,
            Schedule(
                epochs,
                learning_rate,
                settings.plateau_patience,
                settings.plateau_factor,
                settings.early_stopping,
            ),
            seed=seed,
            title=title,
        )
        few = len(history) * self._steps(train) < _FEW_STEPS
        if settings.batch_norm == "always" or (settings.batch_norm == "auto" and few):
            batches = labelled_batches(train, batch, shuffle=seed, whole=True)
            self._trainer.settle(batches.take(_SETTLE_STEPS))
        return history

    def _steps(self, parts: Sequence[Part]) -> int:
        longest = max(part.rows for part in parts)
        return -(-longest // self._experiment.batch_size)


def validation_rows(
    targets: np.ndarray, patients: np.ndarray, fraction: float, seed: int, *, what: str
) -> np.ndarray:
    """(N,) bool: whole patients who steer the learning rate and early stopping; none at 0.

    Raises:
        UserError: naming `what` is split, where its patients are too few for the fraction.
    """
    if not fraction:
        return np.zeros(len(targets), bool)
    try:
        return hold_out(targets, patients, fraction, seed)
    except UserError as error:
        raise UserError(
            f"The {len(targets)} training images of {what} have too few patients to hold a "
            f"validation part of {fraction:g} out. Give another --validation-fraction, or 0."
        ) from error
