"""Focal loss, which heeds easy entries less, with a weight for each label that is learnt too.

Source: Lin et al., Focal Loss, ICCV 2017 (equation 4); Kendall et al., CVPR 2018 (equation 10).
"""

import numpy as np

from cxrkeras.data.distortion import Curve
from cxrkeras.models.losses import Loss
from cxrkeras.registry import option


class Part(Loss):
    """The mean over known entries of exp(-s) (1 - q_t)^gamma (-ln q_t) + s / 2, s by label.

    A label's weight changes nothing in where its optimum lies.
    """

    main = "gamma"
    gamma: float = option(2.0, "How much less: 0 is plain cross-entropy.", ge=0, le=10)

    def distortion(self, targets, rows):
        """A curve: by the derivative of p L(q, 1) + (1 - p) L(q, 0), which is 0 at the best q."""
        g, line = self.gamma, np.linspace(-20, 20, 201) / (1 + self.gamma)
        q, not_q = 1 / (1 + np.exp(-line)), 1 / (1 + np.exp(line))
        up = q**g * (1 / not_q - g * np.log(not_q) / q)
        down = not_q**g * (1 / q - g * np.log(q) / not_q)
        return Curve(((up / (up + down), q),) * targets[0].shape[1])

    def layer(self):
        """See `Loss.layer`."""
        return _layer(self.gamma)


def _layer(gamma):
    import keras
    from keras import ops

    from cxrkeras.models.losses.shared.entries import binary_logits, known_targets

    class Focal(keras.layers.Layer):
        """It is part of no saved model, and so needn't be registered."""

        def build(self, targets_shape, logits_shape):
            """A weight for each label."""
            self.s = self.add_weight(shape=(targets_shape[-1],), initializer="zeros", name="s")

        def call(self, targets, logits):
            """The batch's loss, a scalar."""
            y, known = known_targets(targets)
            f = binary_logits(targets, logits)
            # (1 - q)^gamma as exp(-gamma softplus(f)): with gradients wherever f lies.
            positive = ops.exp(-gamma * ops.softplus(f)) * ops.softplus(-f)
            negative = ops.exp(-gamma * ops.softplus(-f)) * ops.softplus(f)
            each = ops.exp(-self.s) * (y * positive + (1 - y) * negative) + self.s / 2
            return ops.sum(known * each) / ops.maximum(ops.sum(known), 1.0)

    return Focal()
