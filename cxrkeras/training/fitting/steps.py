"""A learning rate that falls at epochs chosen beforehand."""

from collections.abc import Collection

import keras


class LowerRate(keras.callbacks.Callback):
    """Multiply the learning rate by a factor after each of these epochs.

    Args:
        after: epochs, counted from 1.
        factor: below 1.
    """

    def __init__(self, after: Collection[int], factor: float):
        super().__init__()
        self._after, self._factor = frozenset(after), factor

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Lower it before the epoch that follows, so that a resumed fit does so too."""
        if epoch in self._after:
            rate = self.model.optimizer.learning_rate
            rate.assign(rate.numpy() * self._factor)
