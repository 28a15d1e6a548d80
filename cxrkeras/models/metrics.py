"""Metrics to watch while fitting, from logits and with masked entries (the study's two).

Entries of an uncertain class count as masked, and its logits (see `losses`) aren't looked at.
Reports use saved predictions (`cxrkeras.evaluation`), never these.
"""

import keras
from keras import ops

from cxrkeras.models.losses.shared.entries import binary_logits, known_targets


class _MaskedMean(keras.metrics.Mean):
    """The mean of `entries(y, logits)` over the known entries seen so far; 0 without any."""

    def entries(self, y, logits):
        """Values (N, K) for targets in [0, 1] and logits (N, K)."""
        raise NotImplementedError

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count a batch; `sample_weight`, if given, is (N,) or (N, 1)."""
        y, known = known_targets(ops.convert_to_tensor(y_true, self.dtype))
        logits = binary_logits(y, ops.convert_to_tensor(y_pred, self.dtype))
        values = self.entries(y, logits)
        if sample_weight is not None:
            known = known * ops.reshape(ops.convert_to_tensor(sample_weight, self.dtype), (-1, 1))
        # Flat, so that each entry counts alike whatever the shape of its batch.
        super().update_state(ops.reshape(values, (-1,)), sample_weight=ops.reshape(known, (-1,)))


@keras.saving.register_keras_serializable("cxrkeras")
class MaskedBinaryAccuracy(_MaskedMean):
    """Share of known entries on the right side of probability 0.5; soft targets are cut at 0.5."""

    def __init__(self, name="binary_accuracy", dtype=None):
        super().__init__(name=name, dtype=dtype)

    def entries(self, y, logits):
        """1 where logit > 0 agrees with target > 0.5."""
        return ops.cast(ops.equal(y > 0.5, logits > 0), self.dtype)


@keras.saving.register_keras_serializable("cxrkeras")
class MaskedMAE(_MaskedMean):
    """Mean |probability - target| over the known entries."""

    def __init__(self, name="mae", dtype=None):
        super().__init__(name=name, dtype=dtype)

    def entries(self, y, logits):
        """The absolute error of the probability."""
        return ops.abs(ops.sigmoid(logits) - y)
