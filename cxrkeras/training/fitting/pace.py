"""Tells losses and optimisers how far the training is."""

import keras


class Pace(keras.callbacks.Callback):
    """Sets the weight `progress` of losses, and calls `end_epoch` of an optimiser that has it.

    Args:
        model: with `loss_layers` and an optimiser.
        epochs: planned.
        steps: per epoch.
    """

    def __init__(self, model: keras.Model, epochs: int, steps: int):
        super().__init__()
        layers = model.loss_layers.values()
        self._losses = [layer for layer in layers if hasattr(layer, "progress")]
        self._optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        self._epochs, self._steps = epochs, steps

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Say how much is over at the end of this one."""
        for layer in self._losses:
            layer.progress.assign((epoch + 1) / self._epochs)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Say that an epoch is."""
        if hasattr(self._optimizer, "end_epoch"):
            self._optimizer.end_epoch(self._steps)
