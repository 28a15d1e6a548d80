"""A feature pyramid: coarse maps are added to finer ones, and each level is pooled.

Source: Lin et al., CVPR 2017; on ChestX-ray14 the Tsinghua report. Pooling each level and a dense
layer on all of them is ours.
"""

from typing import ClassVar

from cxrkeras.models.heads.shared.dense import DenseHead, side_by_side
from cxrkeras.registry import option


class Part(DenseHead):
    """P2 to P5, or those of them that the trunk's strides allow."""

    strides: ClassVar[tuple[str, ...]] = ("s04", "s08", "s16")

    channels: int = option(256, "Of each level.", ge=1)

    def features(self, maps, known, *, seed):
        """(N, levels x channels of each trunk), then the further inputs."""
        from keras import initializers, layers

        draws = iter(range(seed, seed + 1000))

        def convolution(size: int, name: str):
            start = initializers.GlorotUniform(next(draws))
            return layers.Conv2D(
                self.channels, size, padding="same", kernel_initializer=start, name=name
            )

        pooled = []
        for number, of_trunk in enumerate(maps, start=1):
            above, levels = None, []
            for stride, tensor in reversed(of_trunk.items()):
                here = f"{number}_{stride}"
                lateral = convolution(1, f"lateral_{here}")(tensor)
                if above is None:
                    above = lateral
                else:
                    coarse = _enlarged(above, tensor.shape[1], here)
                    above = layers.Add(name=f"add_{here}")([lateral, coarse])
                level = convolution(3, f"level_{here}")(above)
                levels.append(layers.GlobalAveragePooling2D(name=f"pool_{here}")(level))
            pooled += reversed(levels)
        return side_by_side(pooled, known)


def _enlarged(tensor, side: int, name: str):
    """The nearest neighbours, at a side that need not be a multiple."""
    from keras import layers

    factor = -(-side // tensor.shape[1])
    over = factor * tensor.shape[1] - side
    tensor = layers.UpSampling2D(factor, name=f"up_{name}")(tensor)
    return (
        layers.Cropping2D(((0, over), (0, over)), name=f"crop_{name}")(tensor) if over else tensor
    )
