"""One compiled model, fitted as often as wanted, each time from the same state."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import keras
import numpy as np
import pandas as pd

from cxrkeras.data.augmentation import Preset
from cxrkeras.data.augmentation.shared.layer import Augment
from cxrkeras.data.inputs import IMAGE
from cxrkeras.models.losses import Loss
from cxrkeras.models.metrics import MaskedBinaryAccuracy, MaskedMAE
from cxrkeras.training.averages import Average
from cxrkeras.training.fitting.averaging import Averaged, averaging
from cxrkeras.training.fitting.batch_norm import Settler, batch_norms, fuse, is_random_state
from cxrkeras.training.fitting.checkpoint import Checkpoint
from cxrkeras.training.fitting.compute import PLAIN, Compute
from cxrkeras.training.fitting.devices import Devices
from cxrkeras.training.fitting.pace import Pace
from cxrkeras.training.fitting.progress import EpochLines
from cxrkeras.training.fitting.steps import LowerRate
from cxrkeras.training.fitting.teaching import told
from cxrkeras.training.optimizers import Optimizer
from cxrkeras.training.optimizers.adam import Part as Adam
from cxrkeras.training.watching.validation import as_logs
from data_prep.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf

USUAL = Adam()


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn; see the fields of the same names in `Experiment`."""

    epochs: int
    learning_rate: float
    plateau_patience: int
    plateau_factor: float
    early_stopping: int
    step_epochs: tuple[int, ...] = ()


class Trainer:
    """A compiled model around a graph of logits.

    Building and tracing a DenseNet121 takes tens of seconds, so K folds share one trainer: `fit`
    first resets every variable (weights, batch-norm statistics, the loss's, the optimiser's, random
    streams) to its start, with a new seed. The graph's own weights are fitted.

    Args:
        logits: inputs -> {head: (N, K_head)}.
        loss: the loss on the logits.
        optimizer: how it learns, unless the loss brings an optimiser of its own.
        augment: a preset, active in training only; None for inputs that aren't images.
        average: what the weights become at the end, and wherever they are validated.
        unsteered: such an average for want of another, of fits that no validation part steers; not
            if the loss brings its own optimiser or changes on the way.
        labels: K of each head, needed where its logits are (N, 2K).
        compute: how it learns; `logits` were built in its scope.
        teaching: what learns in the place of `logits`, with the same weights, see `Network`.
        held: models within the graph that are not trainable and have been fitted before: a fit
            takes their variables as they are then, and no checkpoint has them.

    Attributes:
        averages: whether every fit ends with an average.
        settles: whether there are batch-norm statistics to estimate.
    """

    def __init__(
        self,
        logits: keras.Model,
        *,
        loss: Loss,
        optimizer: Optimizer = USUAL,
        augment: Preset | None = None,
        average: Average | None = None,
        unsteered: Average | None = None,
        labels: Mapping[str, int] | None = None,
        compute: Compute = PLAIN,
        teaching: keras.Model | None = None,
        held: Sequence[keras.Model] = (),
    ):
        self._logits, self._loss, self._devices = logits, loss, compute.devices
        self._teaching = teaching
        self._held = {id(variable) for model in held for variable in model.variables}
        self._optimizer = optimizer
        self._devices.join(batch_norms(logits))
        with self._devices.scope():
            self._build(augment, average, unsteered, dict(labels or {}), compute)

    def _build(
        self,
        augment: Preset | None,
        average: Average | None,
        unsteered: Average | None,
        labels: dict[str, int],
        compute: Compute,
    ) -> None:
        logits, loss = self._teaching or self._logits, self._loss
        inputs = _like(logits.inputs)
        self._augment = Augment(augment) if augment and augment.active() else None
        outputs = logits(_augmented(inputs, self._augment) if self._augment else inputs)
        self.heads = list(outputs)
        widths = {head: logits.shape[1] for head, logits in outputs.items()} | labels
        losses = {head: loss.layer() for head in self.heads}
        self.model = _Learning(inputs, outputs, losses, widths, self._devices)
        own = loss.optimizer()
        if own is not None and self._optimizer != USUAL:
            raise UserError(
                f"--loss {loss} brings an optimiser of its own. Received: --optimizer "
                f"{self._optimizer}. Leave --optimizer out."
            )
        late = any(hasattr(layer, "progress") for layer in losses.values())
        self.averages = average is not None
        if average is None and own is None and not late:  # whose steps are of two losses
            average = unsteered
        self._average = average
        chosen = own or self._optimizer.build()
        self._averaging = chosen = averaging(chosen, average) if average else chosen
        if own is None:
            learnt = [w for layer in losses.values() for w in layer.trainable_weights]
            chosen.exclude_from_weight_decay(var_list=learnt)
        metrics = {head: [MaskedBinaryAccuracy(), MaskedMAE()] for head in self.heads}
        self.model.compile(
            optimizer=compute.scaling(chosen),
            **{"weighted_metrics" if self._devices.weighs else "metrics": metrics},
        )
        if not self.model.jit_compile:  # XLA fuses by itself
            fuse(logits)
        self.model.optimizer.build(self.model.trainable_variables)
        variables = [*self.model.variables, *self.model.optimizer.variables]
        self._start = [(v, v.numpy()) for v in variables if id(v) not in self._held]
        self._settler = Settler(logits, self._devices)
        self.settles = bool(self._settler.norms)

    def fit(
        self,
        train: Callable[[range], "tf.data.Dataset"],
        validation: "tf.data.Dataset | None",
        schedule: Schedule,
        *,
        steps: int,
        seed: int,
        title: str,
        biases: Mapping[str, np.ndarray] | None = None,
        counts: Mapping[str, np.ndarray] | None = None,
        start: Sequence[np.ndarray] | None = None,
        checkpoint: Path | None = None,
        settling: Callable[[], "tf.data.Dataset"] | None = None,
        entries: float | None = None,
    ) -> pd.DataFrame:
        """Fit from the start state, or resume from a checkpoint with the same result.

        Args:
            train: returns the batches of (inputs, {head: targets}) of some epochs, one after
                another.
            validation: likewise for validation; with None the training loss steers the learning
                rate and nothing stops early.
            schedule: epochs and rates.
            steps: batches per epoch.
            seed: of dropout and augmentation.
            title: for the progress lines.
            biases: by layer, initial biases that the start state lacks, since they depend on the
                targets.
            counts: by head (K, 2), positives and negatives to learn from, for a loss that asks for
                them.
            start: the graph's weights, in place of the start state's and of `biases`.
            checkpoint: a file that keeps the state after each epoch; None for no such file.
            settling: makes batches as `settle` takes them, over which the batch-norm statistics
                of an average are estimated where it is validated; None to leave them.
            entries: known entries of a batch, see `EpochLines`.

        Returns:
            One row per epoch: `epoch` from 1, `loss`, `binary_accuracy`, `mae`, the same with
            `val_`, `learning_rate`. With several heads, a metric's name begins with its head's.

        Raises:
            UserError: the loss becomes NaN or infinite.
        """
        with self._devices.scope():
            self._prepare(seed, schedule, biases, counts, start)
            if self._average:
                self._averaging.count(*self._average.counted(steps, schedule.epochs))
            callbacks = self._callbacks(schedule, validation is not None, settling)
            judged = self._teaching is None  # else it is told what is true
            lines = EpochLines(title, schedule.epochs, entries=entries, judged=judged)
            state = self._run(train, validation, schedule, steps, lines, checkpoint, callbacks)
            best = any(isinstance(one, keras.callbacks.EarlyStopping) for one in callbacks)
            if self._average and (validation is None or (self.averages and not best)):
                self._averaging.write_mean()
        table = self._table(state.logs)
        if not np.isfinite(table["loss"]).all():
            raise UserError(
                f"{title}: the loss became NaN or infinite in epoch {len(table)}. "
                f"Lower --learning-rate (it was {schedule.learning_rate:g})."
            )
        return table

    def _prepare(self, seed: int, schedule: Schedule, biases, counts, start) -> None:
        """The start state, see `fit`."""
        self._reset(seed)
        if start is not None:
            self._logits.set_weights(start)
        for layer, bias in ((biases or {}) if start is None else {}).items():
            self._logits.get_layer(layer).bias.assign(bias)
        for head, layer in self.model.loss_layers.items():
            if counts is not None and hasattr(layer, "counts"):
                layer.counts.assign(counts[head])
        self.model.optimizer.learning_rate.assign(schedule.learning_rate)

    def _run(
        self, train, validation, schedule: Schedule, steps, lines, checkpoint, callbacks
    ) -> Checkpoint:
        """Fit from the start state, or resume; see `fit`."""
        pace = Pace(self.model, schedule.epochs, steps)
        callbacks = [pace, *callbacks]
        variables = [variable for variable, _ in self._start]
        state = Checkpoint(checkpoint, variables, callbacks, self._part_streams)
        first = state.resume(schedule.epochs)
        batches = train(range(first, schedule.epochs) or range(1))  # Keras needs a batch anyway
        try:
            self.model.fit(
                self._batches(batches),
                validation_data=validation and self._batches(validation),
                validation_steps=validation and self._devices.steps(validation),
                initial_epoch=first,
                epochs=schedule.epochs,
                steps_per_epoch=steps,
                callbacks=[lines, *callbacks, state],
                shuffle=False,  # the batches bring their own order
                verbose=0,
            )
        finally:
            lines.close()
        return state

    def predict(self, batches: "tf.data.Dataset", callbacks: Sequence) -> dict[str, np.ndarray]:
        """Batches of inputs -> {head: logits}, by what was learnt last, without augmentation."""
        with self._devices.scope():
            return (self._logits if self._teaching else self.model).predict(
                self._devices.batches(batches),
                steps=self._devices.steps(batches),
                callbacks=list(callbacks),
                verbose=0,
            )

    def settle(self, batches: "tf.data.Dataset") -> None:
        """Estimate the batch-norm statistics anew over `batches`, without augmentation.

        The weights don't change; see `Settler`.
        """
        with self._devices.scope():
            self._settler.settle(told(batches, self._logits, self._teaching))

    def _batches(self, batches: "tf.data.Dataset") -> "tf.data.Dataset":
        return self._devices.batches(told(batches, self._logits, self._teaching))

    def _reset(self, seed: int) -> None:
        for variable, value in self._start:
            variable.assign(value)
        for number, variable in enumerate(v for v, _ in self._start if is_random_state(v)):
            variable.assign([seed, number])
        self._part_streams()

    def _part_streams(self) -> None:
        self._devices.part_streams([v for v, _ in self._start if is_random_state(v)])

    def _callbacks(self, schedule: Schedule, validated: bool, settling) -> list:
        callbacks = [keras.callbacks.TerminateOnNaN(), *self._steering(schedule, validated)]
        if self.averages and validated:
            callbacks.append(
                Averaged(self._averaging, lambda: settling and self.settle(settling()))
            )
        return callbacks

    def _steering(self, schedule: Schedule, validated: bool) -> list:
        callbacks = []
        if schedule.step_epochs:
            callbacks.append(LowerRate(schedule.step_epochs, schedule.plateau_factor))
        if not self._loss.steers:
            return callbacks
        monitor = "val_loss" if validated else "loss"
        if schedule.plateau_patience:
            callbacks.append(
                keras.callbacks.ReduceLROnPlateau(
                    monitor, factor=schedule.plateau_factor, patience=schedule.plateau_patience
                )
            )
        if schedule.early_stopping and validated:
            callbacks.append(
                keras.callbacks.EarlyStopping(
                    monitor, patience=schedule.early_stopping, restore_best_weights=True
                )
            )
        return callbacks

    def _table(self, logs: list[dict[str, float]]) -> pd.DataFrame:
        table = pd.DataFrame(logs)
        if len(self.heads) == 1:
            head = f"{self.heads[0]}_"
            table = table.rename(columns=lambda name: name.replace(head, "", 1))
            table = table.loc[:, ~table.columns.duplicated()]
        table.insert(0, "epoch", range(1, len(table) + 1))
        return table


class _Learning(keras.Model):
    """Inputs -> {head: logits}, with a loss layer for each head, whose weights learn too.

    Args:
        inputs: symbolic.
        outputs: {head: logits}.
        loss_layers: {head: layer}, see `Loss.layer`.
        labels: {head: K}.
        devices: that share each batch.
    """

    def __init__(
        self,
        inputs,
        outputs,
        loss_layers: Mapping,
        labels: Mapping[str, int],
        devices: Devices,
    ):
        super().__init__(inputs, outputs, name="learning")  # TensorFlow refuses a leading _
        for head, layer in loss_layers.items():  # which makes its weights, if it has any
            layer(*(np.zeros((1, n), np.float32) for n in (labels[head], outputs[head].shape[1])))
        self.loss_layers, self.devices = dict(loss_layers), devices
        self._seen = _Seen()
        several = len(loss_layers) > 1
        if devices.weighs:  # its name puts it in the place of Keras's own, which weighs copies too
            self.whole = keras.metrics.Mean(name="loss")
        self.means = [keras.metrics.Mean(name=f"{h}_loss") for h in loss_layers if several]

    def call(self, inputs, training=None, mask=None):
        """{head: logits} of what a device computes of a batch."""
        return super().call(self.devices.share(inputs), training=training, mask=mask)

    def test_step(self, *given):
        """Keras's own, whose logs also have the batch's targets and logits."""
        found = super().test_step(*given)
        logs = found if isinstance(found, dict) else found[0]  # JAX's state is second
        logs.update(self._seen.taken())
        return found

    def evaluate(self, *given, **how):
        """Keras's own, without these: callbacks have got them."""
        found = super().evaluate(*given, **how)
        if not how.get("return_dict"):
            return found
        return {name: float(value) for name, value in sorted(self.get_metrics_result().items())}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The sum of the heads' losses on the whole batch: a device's part of it."""
        whole = {
            head: [self.devices.gather(values[head], sample_weight) for values in (y, y_pred)]
            for head in self.loss_layers
        }
        if not training:
            self._seen.rows = whole
        found = [layer(*whole[head]) for head, layer in self.loss_layers.items()]
        rows = keras.ops.shape(next(iter(y.values())))[0]
        if self.devices.weighs:
            rows = keras.ops.sum(sample_weight)
            self.whole.update_state(sum(found), sample_weight=rows)
        for mean, value in zip(self.means, found, strict=False):
            mean.update_state(value, sample_weight=rows)
        return self.devices.part_of(sum(found[1:], found[0]))


class _Seen:
    """The whole batch of a step that is being traced, {head: (targets, logits)}."""

    rows: Mapping = MappingProxyType({})

    def taken(self) -> dict:
        """It as logs; a tensor of a trace mustn't outlive it."""
        targets, logits = ({head: pair[n] for head, pair in self.rows.items()} for n in (0, 1))
        self.rows = {}
        return as_logs(targets, logits)


def _like(inputs: list):
    """Inputs of the same names and shapes: one by itself, several as a dictionary."""
    made = {each.name: keras.Input(each.shape[1:], name=each.name) for each in inputs}
    return made if len(made) > 1 else next(iter(made.values()))


def _augmented(inputs, augment: Augment):
    if isinstance(inputs, dict):
        return {**inputs, IMAGE: augment(inputs[IMAGE])}
    return augment(inputs)
