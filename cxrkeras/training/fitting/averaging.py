"""Averages of a model's weights over its steps, see `cxrkeras.training.averages`."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from cxrkeras.training.averages import Average


def averaging(
    optimizer: keras.optimizers.Optimizer, average: Average
) -> keras.optimizers.Optimizer:
    """The same optimiser, which also sums up the weights after the steps that count.

    The sums are the optimiser's own variables, so every backend carries them through its step and a
    checkpoint holds them. Each is a pair of float32, the sum and its rounding error (Knuth's
    two-sum), which together hold about 48 bits.

    Args:
        optimizer: not built yet.
        average: which steps count, and how much.

    Returns:
        A new one, with methods `count` and `write_mean`.
    """
    kind = type(optimizer)
    made = type(f"Averaging{kind.__name__}", (_Averaging, kind), {"keeps": average.keeps})
    return made.from_config(optimizer.get_config())


class _Averaging:
    """What stands before a class of Keras's optimisers."""

    keeps: float

    def build(self, variables):
        """Create the sums beside the optimiser's own variables."""
        if self.built:
            return
        super().build(variables)
        self._totals, self._lost = self.add_optimizer_variables(variables, ["total", "lost"])
        of_counting = {"shape": (), "initializer": "ones", "dtype": "int32"}
        self._first = self.add_variable(**of_counting, name="first_counted")
        self._every = self.add_variable(**of_counting, name="every")

    def count(self, first: int, every: int) -> None:
        """Say which steps count, see `Average.counted`; not within a fit."""
        self._first.assign(first)
        self._every.assign(every)

    def update_step(self, gradient, variable, learning_rate):
        """Take the optimiser's step, then add the resulting weights to the sums if it counts."""
        super().update_step(gradient, variable, learning_rate)
        place = self._get_variable_index(variable)
        past = ops.cast(self.iterations, "int32") + 1 - ops.convert_to_tensor(self._first)
        every = ops.convert_to_tensor(self._every)
        counts = ops.logical_and(past >= 0, ops.equal(past % every, 0))
        was, had_lost = (ops.convert_to_tensor(v[place]) for v in (self._totals, self._lost))
        before = was * self.keeps
        total = ops.add(before, variable)
        seen = ops.subtract(total, before)
        lost = ops.subtract(before, total - seen) + ops.subtract(variable, seen)
        lost = had_lost * self.keeps + lost
        self.assign(self._lost[place], ops.where(counts, lost, had_lost))
        self.assign(self._totals[place], ops.where(counts, total, was))

    def write_mean(self) -> None:
        """Set the weights to their mean over the steps that counted; not within a step.

        It is taken in float64 and rounded once. Weights that no gradient reaches stay.
        """
        past = int(self.iterations.numpy()) - int(self._first.numpy())
        counted = past // int(self._every.numpy()) + 1  # 0 or less before the first
        if counted < 1:
            return
        mass = float(np.sum(np.float64(self.keeps) ** np.arange(counted)))
        known = zip(self._trainable_variables, self._totals, self._lost, strict=True)
        for variable, total, lost in known:
            values = np.float64(total.numpy()) + np.float64(lost.numpy())
            if values.any():
                variable.assign(values / mass)


class Averaged(keras.callbacks.Callback):
    """Lets validation see the average, and what keeps the best epoch's weights keep it.

    It stands behind the latter, and before what saves the weights from which training goes on.

    Args:
        optimizer: from `averaging`.
        settle: estimates the statistics of batch norm.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, settle: Callable[[], None]):
        super().__init__()
        self._optimizer, self._settle = optimizer, settle
        self._learning: list[np.ndarray] | None = None

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Put the average in the place of the weights that learn."""
        self._learning = self.model.get_weights()
        self._optimizer.write_mean()
        self._settle()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Put them back."""
        if self._learning is not None:
            self.model.set_weights(self._learning)
        self._learning = None
