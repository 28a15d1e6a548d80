"""The layer of the AUC margin loss."""

import keras
from keras import ops

from cxrkeras.models.losses.shared.entries import binary_logits, known_targets

ALPHA = "auc_margin_alpha"
"""The name of the weight that ascends."""


class AUCMargin(keras.layers.Layer):
    """See `losses.auc_margin`. It is part of no saved model.

    a and b start where they are if scores are perfect, at 1 and 0.

    Args:
        margin: m.

    Call arguments: targets (N, K) and logits (N, K) or (N, 2K). Returns a scalar.
    """

    def __init__(self, margin: float):
        super().__init__()
        self.margin = margin

    def build(self, targets_shape, logits_shape=None):
        """a, b and alpha of each label, and the counts that give p."""
        labels = (targets_shape[-1],)
        self.a = self.add_weight(shape=labels, initializer="ones", name="a")
        self.b = self.add_weight(shape=labels, initializer="zeros", name="b")
        self.alpha = self.add_weight(
            shape=labels, initializer="zeros", constraint="non_neg", name=ALPHA
        )
        self.counts = self.add_weight(
            shape=(*labels, 2), initializer="ones", trainable=False, name="counts"
        )

    def call(self, targets, logits):
        """The batch's loss, a scalar."""
        y, known = known_targets(targets)
        h = ops.sigmoid(binary_logits(targets, logits))
        p = self.counts[:, 0] / ops.maximum(ops.sum(self.counts, axis=-1), 1.0)
        alpha, both = ascending(ops.convert_to_tensor(self.alpha)), p * (1 - p)
        spread = (1 - p) * y * ops.square(h - self.a) + p * (1 - y) * ops.square(h - self.b)
        short = both * self.margin + h * (p * (1 - y) - (1 - p) * y)
        each = known * (spread + 2 * alpha * short - both * ops.square(alpha))
        return ops.sum(each) / ops.maximum(ops.sum(known), 1.0)


def ascending(x):
    """X itself, with its gradient negated: who descends on it climbs."""
    return 2 * ops.stop_gradient(x) - x
