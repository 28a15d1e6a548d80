"""ChestX-ray8's: a transition layer, log-sum-exp pooling between mean and maximum, a dense layer.

Source: Wang et al., ChestX-ray8, CVPR 2017 (equation 4), whose x* = max |x| underflows on negative
maps; here the maximum of x is taken, as for any stable log-sum-exp.
"""

from cxrkeras.models.heads.shared.dense import DenseHead, side_by_side
from cxrkeras.registry import option


class Part(DenseHead):
    """Pooling x* + log(mean(exp(r (x - x*)))) / r of each channel."""

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


def log_sum_exp(maps, r: float):
    """(N, h, w, C) -> (N, C) float32."""
    from keras import ops

    maps = ops.cast(maps, "float32")
    top = ops.max(maps, axis=(1, 2), keepdims=True)
    mean = ops.mean(ops.exp(ops.multiply(ops.subtract(maps, top), r)), axis=(1, 2))
    return ops.add(ops.squeeze(top, axis=(1, 2)), ops.divide(ops.log(mean), r))
