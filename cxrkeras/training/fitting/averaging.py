"""The mean of a model's weights over all steps (Polyak and Juditsky 1992)."""

import keras
import numpy as np
from keras import ops


def averaging(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The same optimiser, which also sums up the weights after each step; for small models.

    The sums are the optimiser's own variables, so every backend carries them through its step and a
    checkpoint holds them. Each is a pair of float32, the sum and its rounding error (Knuth's
    two-sum), which together hold about 48 bits.

    Args:
        optimizer: not built yet.

    Returns:
        A new one, with a method `write_mean`.
    """
    kind = type(optimizer)
    made = type(f"Averaging{kind.__name__}", (_Averaging, kind), {})
    return made.from_config(optimizer.get_config())


class _Averaging:
    """What stands before a class of Keras's optimisers."""

    def build(self, variables):
        """Create the sums beside the optimiser's own variables."""
        if self.built:
            return
        super().build(variables)
        self._sums, self._lost = self.add_optimizer_variables(variables, ["sum", "lost"])

    def update_step(self, gradient, variable, learning_rate):
        """Take the optimiser's step, then add the resulting weights to the sums."""
        super().update_step(gradient, variable, learning_rate)
        place = self._get_variable_index(variable)
        before = self._sums[place]
        total = ops.add(before, variable)
        seen = ops.subtract(total, before)
        lost = ops.subtract(before, total - seen) + ops.subtract(variable, seen)
        self.assign_add(self._lost[place], lost)
        self.assign(before, total)  # last, since TensorFlow reads a variable where it is used

    def write_mean(self) -> None:
        """Set the weights to their mean over all steps since the start state; not within a fit.

        The mean is taken in float64 and rounded once.
        """
        steps = max(int(self.iterations.numpy()), 1)
        known = zip(self._trainable_variables, self._sums, self._lost, strict=True)
        for variable, total, lost in known:
            variable.assign((np.float64(total.numpy()) + np.float64(lost.numpy())) / steps)
