"""A trainer, set up and driven by a plan."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
from scipy.special import expit

from cxrkeras.data.augmentation import Preset
from cxrkeras.data.distortion import Distortion
from cxrkeras.data.draws import drawn_rows
from cxrkeras.data.folds.folds import hold_out
from cxrkeras.data.pipeline import (
    Part,
    head_widths,
    image_batches,
    labelled_batches,
    steps_per_epoch,
)
from cxrkeras.models.network import layer_name
from cxrkeras.models.prior import prior_biases, uncertain_name
from cxrkeras.runs.experiment import Experiment
from cxrkeras.training.averages.all_steps import Part as AllSteps
from cxrkeras.training.fitting.batch_norm import quicken_batch_norm
from cxrkeras.training.fitting.compute import PLAIN, Compute
from cxrkeras.training.fitting.progress import PredictLines
from cxrkeras.training.fitting.trainer import Schedule, Trainer
from cxrkeras.training.plan import Plan
from data_prep.errors import UserError

_FEW_STEPS = 2000  # with fewer, Keras's moving averages still hold part of their start
_SETTLE_STEPS = 200


class Learner:
    """Fits one graph of logits, any number of times.

    Args:
        logits: inputs -> {head: logits}; its own weights are fitted.
        plan: loss, transform and settings.
        train: parts as large as those to be learnt from (they set the batch-norm momentum).
        augment: a preset; None if the inputs aren't images.
        small: whether it ends with the mean over all steps, where nothing else is chosen and
            no validation part steers: only models that are copied in no time.
        compute: see `Trainer`.
        teaching: see `Trainer`.
        held: see `Trainer`.
    """

    def __init__(
        self,
        logits: keras.Model,
        plan: Plan,
        train: Sequence[Part],
        *,
        augment: Preset | None = None,
        small: bool = False,
        compute: Compute = PLAIN,
        teaching: keras.Model | None = None,
        held: Sequence[keras.Model] = (),
    ):
        self._taught = plan.architecture.head.taught
        if self._taught and teaching is None:
            raise ValueError("A head that is taught learns by its network's `teaching`.")
        self._least = compute.devices.least
        self._plan, self._experiment = plan, plan.experiment
        self._logits, self._layers = logits, {layer.name for layer in logits.layers}
        if self._experiment.batch_norm != "never":
            quicken_batch_norm(logits, steps_per_epoch(train, self._experiment.batch_size))
        labels = head_widths(train)
        self._trainer = Trainer(
            logits,
            loss=plan.loss,
            optimizer=plan.optimizer,
            augment=augment,
            average=plan.average,
            unsteered=AllSteps() if small else None,
            labels=labels,
            compute=compute,
            teaching=teaching,
            held=held,
        )

    def learn(
        self,
        train: Sequence[Part],
        validation: Sequence[Part],
        *,
        epochs: int,
        learning_rate: float,
        seed: int,
        title: str,
        start: Sequence[np.ndarray] | None = None,
        checkpoint: Path | None = None,
    ) -> pd.DataFrame:
        """Fit from the start state, then estimate the batch-norm statistics if steps were few, or
        the weights are an average.

        Args:
            train: what is learnt from.
            validation: what steers the learning rate and early stopping; may be empty.
            epochs: the largest number of epochs.
            learning_rate: at the start.
            seed: seed of order, targets drawn from ranges, dropout and augmentation.
            title: for the progress lines.
            start: see `Trainer.fit`.
            checkpoint: see `Trainer.fit`.

        Returns:
            The history, see `Trainer.fit`.
        """
        settings, transform = self._experiment, self._plan.transform
        batch, batch_norm = settings.batch_size, settings.batch_norm
        steps = steps_per_epoch(train, batch)
        settles = batch_norm != "never" and self._trainer.settles

        def settling():
            return labelled_batches(train, batch, shuffle=seed, whole=True).take(_SETTLE_STEPS)

        history = self._trainer.fit(
            lambda epochs: labelled_batches(
                train, batch, shuffle=seed, epochs=epochs, transform=transform
            ),
            labelled_batches(validation, batch) if validation else None,
            Schedule(
                epochs,
                learning_rate,
                settings.plateau_patience,
                settings.plateau_factor,
                settings.early_stopping,
                settings.step_epochs,
            ),
            steps=steps,
            seed=seed,
            title=title,
            biases=self._biases(train),
            counts=_counts(train),
            start=start,
            checkpoint=checkpoint,
            settling=settling if settles else None,
            entries=_entries(train, batch) if self._plan.loss.summed else None,
        )
        anew = len(history) * steps < _FEW_STEPS or self._trainer.averages
        if settles and (batch_norm == "always" or anew):
            self._trainer.settle(settling())
        return history

    def distortions(self, train: Sequence[Part]) -> dict[str, Distortion | None]:
        """{head: what the loss makes of its probabilities}; None if it is unknown, as for
        transformed targets, or for a head that is taught, unless it makes nothing of them. `train`
        are the parts that train together.
        """
        if self._plan.transform and not self._plan.transform.images:
            return dict.fromkeys(head_widths(train))
        by_head = _by_head(self._experiment, train)
        found = {
            head: self._plan.loss.distortion(drawn.targets, drawn.rows)
            for head, drawn in by_head.items()
        }
        if self._taught:  # of conditional probabilities, not of those that are predicted
            found = {head: each if each and each.none else None for head, each in found.items()}
        return found

    def scores(self, part: Part, rows: np.ndarray, title: str) -> np.ndarray:
        """(n, K) probabilities of some rows of a part from the trained model."""
        index, batch = part.index[rows], self._experiment.batch_size
        if 0 < len(rows) % batch < self._least:
            index = np.append(index, [index[-1]] * (self._least - len(rows) % batch))
        batches = image_batches(part.inputs, index, batch)
        lines = PredictLines(title)
        try:
            logits = self._trainer.predict(batches, [lines])[part.head]
        finally:
            lines.close()
        return expit(logits[: len(rows), : part.targets.values.shape[1]])

    def _biases(self, parts: Sequence[Part]) -> dict[str, np.ndarray]:
        """Where the heads' biases start, by layer; see `prior_biases`."""
        biases = {}
        for head, drawn in _by_head(self._experiment, parts).items():
            name = layer_name(head)
            if getattr(self._logits.get_layer(name), "bias", None) is None:
                continue  # a head that doesn't end in such a layer
            distortion = partial(self._plan.loss.distortion, rows=drawn.rows)
            three_way = uncertain_name(name) in self._layers
            biases |= prior_biases(
                name, drawn.targets, distortion, three_way=three_way, amounts=drawn.amounts
            )
        return biases


def _counts(parts: Sequence[Part]) -> dict[str, np.ndarray]:
    """{head: (K, 2)}: positives and negatives to learn from, see `Targets.counts`."""
    found: dict[str, np.ndarray] = {}
    for part in parts:
        for head, taught in part.taught.items():
            found[head] = found.get(head, 0) + taught.counts
    return found


def _entries(parts: Sequence[Part], batch_size: int) -> float:
    """Known entries of a batch: the mean over batches, each as often as it has images."""
    known, images = 0.0, 0
    for part, rows in zip(parts, drawn_rows(parts, batch_size), strict=True):
        there, each = rows >= 0, np.zeros(len(part.index) + 1)
        for taught in part.taught.values():
            weights = np.where(np.isnan(taught.known), 0, taught.weighed[1])
            each[:-1] += weights.sum(axis=1)
        known, images = known + each[rows].sum(axis=1), images + there.sum(axis=1)
    return float(np.average(known, weights=images))


class _Drawn(NamedTuple):
    """What a head learns from, in groups of rows that are drawn equally often.

    Args:
        targets: of each group.
        rows: (D, B) of each, as `drawn_rows` gives them.
        amounts: how many rows of each a batch holds, in proportion.
    """

    targets: list[np.ndarray]
    rows: list[np.ndarray]
    amounts: list[float]


def _by_head(experiment: Experiment, train: Sequence[Part]) -> dict[str, _Drawn]:
    """{head: what it learns from in the parts}."""
    drawn = drawn_rows(train, experiment.batch_size)
    found: dict[str, _Drawn] = {}
    for part, rows in zip(train, drawn, strict=True):
        for head, taught in part.taught.items():
            of_head = found.setdefault(head, _Drawn([], [], []))
            if part.weights is None:
                of_head.targets.append(taught.with_weights)
                of_head.rows.append(rows)
                of_head.amounts.append(1.0)
                continue
            for weight in np.unique(part.weights):
                own = np.flatnonzero(part.weights == weight)
                places = np.full(len(part.index) + 1, -1)  # the last stays, for a place left empty
                places[own] = np.arange(len(own))
                of_head.targets.append(taught.with_weights[own])
                of_head.rows.append(places[rows])
                of_head.amounts.append(float(weight * len(own) / part.weights.sum()))
    return found


def validation_rows(
    targets: np.ndarray, patients: np.ndarray, fraction: float, seed: int, *, what: str
) -> np.ndarray:
    """(N,) bool: whole patients held out to steer the learning rate and early stopping.

    Args:
        targets: (N, K) float, as for `hold_out`.
        patients: (N,) patient of each image.
        fraction: of the images to hold out; 0 for none.
        seed: of the choice.
        what: what is split, for the message.

    Raises:
        UserError: there are too few patients for the fraction.
    """
    if not fraction:
        return np.zeros(len(targets), bool)
    try:
        return hold_out(targets, patients, fraction, seed)
    except UserError as error:
        raise UserError(
            f"The {len(targets)} training images of {what} have too few patients to hold out a "
            f"validation part of {fraction:g}. Give another --validation-fraction, or 0."
        ) from error
