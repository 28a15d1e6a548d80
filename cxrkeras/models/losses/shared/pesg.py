"""Proximal epoch stochastic gradient: descent whose weights are held by the last epoch's mean."""

import keras
import numpy as np
from keras import ops


class PESG(keras.optimizers.Optimizer):
    """Each step adds `epoch_decay` (w - w0) and `decay` w to the gradient, then momentum.

    w0 is the mean of the weights over the epoch before; the first epoch has none. Weights excluded
    from weight decay are held by neither.

    Args:
        learning_rate: step size.
        momentum: in [0, 1).
        epoch_decay: pull towards w0.
        decay: pull towards 0.

    Source: Yuan et al., ICCV 2021 (algorithm 1); momentum is LibAUC's.
    """

    def __init__(self, learning_rate=0.1, *, momentum=0.9, epoch_decay=2e-3, decay=1e-5, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.momentum, self.epoch_decay, self.decay = momentum, epoch_decay, decay

    def build(self, variables):
        """Create the anchors, the sums over an epoch, and the momentum."""
        if self.built:
            return
        super().build(variables)
        names = ["anchor", "sum", "momentum"]
        self._anchors, self._sums, self._moved = self.add_optimizer_variables(variables, names)
        self._fresh = self.add_variable((), initializer="ones", name="fresh")

    def update_step(self, gradient, variable, learning_rate):
        """One step of one variable."""
        place = self._get_variable_index(variable)
        total, moved = self._sums[place], self._moved[place]
        weight = ops.convert_to_tensor(variable)
        if self._use_weight_decay(variable):
            anchor, fresh = map(ops.convert_to_tensor, (self._anchors[place], self._fresh))
            held = ops.where(fresh > 0, weight, anchor)
            gradient = gradient + self.epoch_decay * (weight - held) + self.decay * weight
        step = self.momentum * ops.convert_to_tensor(moved) + gradient
        self.assign(moved, step)
        self.assign_sub(variable, ops.cast(learning_rate, weight.dtype) * step)
        self.assign_add(total, variable)

    def end_epoch(self, steps: int) -> None:
        """Hold on to the mean of the weights over the epoch's `steps`; not within an epoch."""
        for anchor, total in zip(self._anchors, self._sums, strict=True):
            anchor.assign(total.numpy() / np.float32(steps))
            total.assign(np.zeros(total.shape, np.float32))
        self._fresh.assign(0.0)
