"""A trainer set up and driven as an experiment says."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
from scipy.special import expit

from cxrkeras.data.distortion import Factor
from cxrkeras.data.draws import drawn_rows
from cxrkeras.data.folds.folds import hold_out
from cxrkeras.data.pipeline import (
    Part,
    image_batches,
    labelled_batches,
    steps_per_epoch,
)
from cxrkeras.models.heads.pooled import prior_biases, uncertain_name
from cxrkeras.models.losses.batch_weighted import LOSSES
from cxrkeras.models.network import layer_name
from cxrkeras.runs.experiment import Experiment
from cxrkeras.training.batch_norm import quicken_batch_norm
from cxrkeras.training.progress import PredictLines
from cxrkeras.training.trainer import Schedule, Trainer
from data_prep.errors import UserError

_FEW_STEPS = 2000  # below it Keras's moving averages still hold part of their start
_SETTLE_STEPS = 200


class Learned(NamedTuple):
    """What `Learner.learn` did.

    Args:
        history: see `Trainer.fit`; with U-SelfTrained, of the second fit.
        train: the training parts as they were learned from at last, guesses filled in.
    """

    history: pd.DataFrame
    train: list[Part]


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
        self._experiment, self._layers = experiment, {layer.name for layer in logits.layers}
        if experiment.batch_norm != "never":
            quicken_batch_norm(logits, steps_per_epoch(train, experiment.batch_size))
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
        checkpoint: Path | None = None,
    ) -> Learned:
        """Fit from the start state, then estimate the batch-norm statistics where steps were few.

        Where training entries are to be guessed (U-SelfTrained), it is done twice: first with these
        entries masked, then, from the start state again, with the first model's probabilities in
        their place. What steers is known entries alone.

        Args:
            train: what is learned from.
            validation: what steers the learning rate and early stopping; may be empty.
            epochs: at most.
            learning_rate: at the start.
            seed: of order, ranges of targets, dropout and augmentation.
            title: for the progress lines.
            checkpoint: see `Trainer.fit`. A first fit keeps its own beside it, to be removed with
                it: killed in the second fit, the guesses are made again from that state.
        """
        settings = self._experiment
        schedule = Schedule(
            epochs,
            learning_rate,
            settings.plateau_patience,
            settings.plateau_factor,
            settings.early_stopping,
        )
        train = list(train)
        if any(part.targets.guessed is not None for part in train):
            first = checkpoint and checkpoint.with_name(f"first-{checkpoint.name}")
            self._fit(train, validation, schedule, seed, f"{title}, before guessing", first)
            train = self._filled(train, f"{title}, guessing uncertain entries")
        return Learned(self._fit(train, validation, schedule, seed, title, checkpoint), train)

    def _fit(
        self,
        train: Sequence[Part],
        validation: Sequence[Part],
        schedule: Schedule,
        seed: int,
        title: str,
        checkpoint: Path | None,
    ) -> pd.DataFrame:
        batch, batch_norm = self._experiment.batch_size, self._experiment.batch_norm
        steps = steps_per_epoch(train, batch)
        history = self._trainer.fit(
            lambda epochs: labelled_batches(train, batch, shuffle=seed, epochs=epochs),
            labelled_batches(validation, batch) if validation else None,
            schedule,
            steps=steps,
            seed=seed,
            title=title,
            biases=self._biases(train),
            checkpoint=checkpoint,
        )
        few = len(history) * steps < _FEW_STEPS
        if batch_norm == "always" or (batch_norm == "auto" and few):
            batches = labelled_batches(train, batch, shuffle=seed, whole=True)
            self._trainer.settle(batches.take(_SETTLE_STEPS))
        return history

    def _filled(self, parts: Sequence[Part], title: str) -> list[Part]:
        """The parts with the model's probabilities, on their true scale, at the guessed entries."""
        filled = []
        of_head = inflations(self._experiment, parts)
        for part in parts:
            if part.targets.guessed is not None:
                rows = np.flatnonzero(part.targets.guessed.any(axis=1))
                probabilities = np.zeros(part.targets.values.shape)
                scores = self._scores(part, rows, title)
                probabilities[rows] = Factor(of_head[part.head]).undistort(scores)
                part = part._replace(targets=part.targets.filled(probabilities))
            filled.append(part)
        return filled

    def _biases(self, parts: Sequence[Part]) -> dict[str, np.ndarray]:
        """Where the heads' biases start, by layer; see `prior_biases`."""
        loss = LOSSES[self._experiment.loss]()
        biases = {}
        for head, (targets, rows) in _by_head(self._experiment, parts).items():
            inflation = partial(loss.inflation, rows=rows)
            name = layer_name(head)
            three_way = uncertain_name(name) in self._layers
            biases |= prior_biases(name, targets, inflation, three_way=three_way)
        return biases

    def _scores(self, part: Part, rows: np.ndarray, title: str) -> np.ndarray:
        """(n, K) scores of some rows of a part; those of an augmented view are its image's own."""
        images, places = np.unique(part.index[rows] % len(part.inputs), return_inverse=True)
        batches = image_batches(part.inputs, images, self._experiment.batch_size)
        lines = PredictLines(title)
        try:
            logits = self._trainer.model.predict(batches, callbacks=[lines], verbose=0)[part.head]
        finally:
            lines.close()
        return expit(logits[places, : part.targets.values.shape[1]])


def inflations(experiment: Experiment, train: Sequence[Part]) -> dict[str, np.ndarray]:
    """{head: (K,)}: the factor that the loss puts on the odds of each label's probability.

    Args:
        experiment: loss and batch size.
        train: the parts that train together.
    """
    loss = LOSSES[experiment.loss]()
    return {head: loss.inflation(*drawn) for head, drawn in _by_head(experiment, train).items()}


def _by_head(experiment: Experiment, train: Sequence[Part]) -> dict[str, tuple[list, list]]:
    """{head: the targets of its parts, and the batches of each}."""
    drawn = drawn_rows(train, experiment.batch_size)
    found: dict[str, tuple[list, list]] = {}
    for part, rows in zip(train, drawn, strict=True):
        targets, batches = found.setdefault(part.head, ([], []))
        targets.append(part.targets.values)
        batches.append(rows)
    return found


def validation_rows(
    targets: np.ndarray, patients: np.ndarray, fraction: float, seed: int, *, what: str
) -> np.ndarray:
    """(N,) bool: whole patients who steer the learning rate and early stopping; none at 0.

    Args:
        targets: (N, K) float, as for `hold_out`.
        patients: (N,) patient of each image.
        fraction: of the images.
        seed: of the choice.
        what: is split, for the message.

    Raises:
        UserError: where the patients are too few for the fraction.
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
