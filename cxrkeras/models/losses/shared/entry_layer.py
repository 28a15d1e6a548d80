"""The layer of losses of one entry at a time."""

from collections.abc import Callable

import keras
from keras import ops

from cxrkeras.models.losses.shared.entries import binary_logits, known_targets


class EntryLayer(keras.layers.Layer):
    """The mean over a batch's known entries; 0 without any. It is part of no saved model.

    Args:
        costs: what entries cost, as `entrywise.Entrywise` says.
        counted: whether that depends on the training counts.
        deferred: whether it depends on how far the training is.

    Call arguments: targets (N, K) and logits (N, K) or (N, 2K). Returns a scalar.
    """

    def __init__(self, costs: Callable, *, counted: bool, deferred: bool):
        super().__init__()
        self._costs, self._counted, self._deferred = costs, counted, deferred

    def build(self, targets_shape, logits_shape=None):
        """The counts that the costs depend on, and how far the training is."""
        if self._counted:
            self.counts = self.add_weight(
                shape=(targets_shape[-1], 2), initializer="ones", trainable=False, name="counts"
            )
        if self._deferred:  # over, unless a fit says otherwise
            self.progress = self.add_weight(
                shape=(), initializer="ones", trainable=False, name="progress"
            )

    def call(self, targets, logits):
        """The batch's loss, a scalar."""
        y, known = known_targets(targets)
        counts = self.counts if self._counted else None
        progress = self.progress if self._deferred else None
        positive, negative = self._costs(binary_logits(targets, logits), counts, progress)
        each = known * (y * positive + (1 - y) * negative)
        return ops.sum(each) / ops.maximum(ops.sum(known), 1.0)
