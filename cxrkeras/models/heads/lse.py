"""ChestX-ray8's: a transition layer, log-sum-exp pooling between mean and maximum, a dense layer.

Source: Wang et al., ChestX-ray8, CVPR 2017 (equation 4), whose x* = max |x| underflows on negative
maps; here the maximum of x is taken, as for any stable log-sum-exp.
"""

from typing import ClassVar

from cxrkeras.models.heads import TARGET
from cxrkeras.models.heads.shared.dense import DenseHead, side_by_side
from cxrkeras.registry import option


class Part(DenseHead):
    """Pooling x* + log(mean(exp(r (x - x*)))) / r of each channel."""

    map: ClassVar[str] = "each place's part in the log-sum-exp pooling; its mean is the logit"
    unit: ClassVar[str] = "logit"

    r: float = option(10.0, "From mean (towards 0) to maximum (large).", gt=0)
    channels: int = option(1024, "D, of the transition layer, a 1x1 convolution.", ge=1)

    def features(self, maps, known, *, seed):
        """(N, D of each trunk), then the further inputs."""
        from keras import initializers, layers

        pooled = []
        for number, of_trunk in enumerate(maps, start=1):
            transition = layers.Conv2D(
                self.channels,
                1,
                kernel_initializer=initializers.GlorotUniform(seed + number),
                name=f"transition_{number}",
            )
            pooled.append(log_sum_exp(transition(list(of_trunk.values())[-1]), self.r))
        return side_by_side(pooled, known)

    def heat(self, model, labels):
        """One map of each trunk; their mean is the logit, less what further inputs give.

        The paper's own map, activations of the transition layer times weights, is what Grad-CAM of
        this layer comes to.
        """
        from keras import ops

        dense = model.get_layer(TARGET)
        width = dense.input.shape[-1]
        heats, found = [], {layer.name: layer for layer in model.layers}
        trunks = sum(name.startswith("transition_") for name in found)
        if not trunks:
            raise ValueError("It has no transition layer.")
        for number in range(1, trunks + 1):
            layer = found[f"transition_{number}"]
            parts = parts_of_pooling(layer.output, self.r)
            before = (number - 1) * self.channels
            after = width - before - self.channels
            placed = ops.pad(parts, [(0, 0), (0, 0), (0, 0), (before, after)])
            heat = dense(placed)
            if heats:  # the bias counts once
                heat = ops.subtract(heat, dense(ops.zeros_like(placed)))
            heats.append(heat)
        return heats


def log_sum_exp(maps, r: float):
    """(N, h, w, C) -> (N, C) float32."""
    from keras import ops

    maps = ops.cast(maps, "float32")
    top = ops.max(maps, axis=(1, 2), keepdims=True)
    mean = ops.mean(ops.exp(ops.multiply(ops.subtract(maps, top), r)), axis=(1, 2))
    return ops.add(ops.squeeze(top, axis=(1, 2)), ops.divide(ops.log(mean), r))


def parts_of_pooling(maps, r: float):
    """Each place's part in `log_sum_exp`, whose mean it is: (N, h, w, C) -> (N, h, w, C) float32.

    With the pooling's derivatives p = softmax(r x) over the S places and the mean m of x, it is
    m + S p (x - m) - KL(p || 1 / S) / r: x itself as r goes to 0, and the excess of the largest
    alone as r grows. A constant added to x is added to every part.
    """
    from keras import ops

    maps = ops.cast(maps, "float32")
    top = ops.max(maps, axis=(1, 2), keepdims=True)
    raised = ops.exp(ops.multiply(ops.subtract(maps, top), r))
    shares = ops.divide(raised, ops.mean(raised, axis=(1, 2), keepdims=True))  # S p
    middle = ops.mean(maps, axis=(1, 2), keepdims=True)
    apart = ops.multiply(shares, ops.subtract(maps, middle))
    pooled = ops.add(top, ops.divide(ops.log(ops.mean(raised, axis=(1, 2), keepdims=True)), r))
    return ops.add(pooled, ops.subtract(apart, ops.mean(apart, axis=(1, 2), keepdims=True)))
