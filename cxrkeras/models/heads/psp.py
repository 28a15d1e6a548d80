"""Pyramid pooling: the last map beside its means over 1, 4, 9 and 36 fields, convolved and pooled.

Source: Zhao et al., PSPNet, CVPR 2017; on ChestX-ray14 the Tsinghua report. The fields are those of
adaptive pooling, since 6 x 6 don't divide a map of 7 x 7.
"""

from typing import ClassVar

from cxrkeras.models.heads.shared.dense import DenseHead, side_by_side
from cxrkeras.models.heads.shared.fields import enlarged, field_means
from cxrkeras.registry import option


class Part(DenseHead):
    """Each pooled map passes a 1x1 convolution to a quarter of the channels."""

    bins: ClassVar[tuple[int, ...]] = (1, 2, 3, 6)

    channels: int = option(512, "Of the 3x3 convolution before the last pooling.", ge=1)

    def features(self, maps, known, *, seed):
        """(N, channels of each trunk), then the further inputs."""
        from keras import initializers, layers

        draws = iter(range(seed, seed + 1000))

        def convolved(tensor, channels: int, size: int, name: str):
            start = initializers.HeUniform(next(draws))
            make = layers.Conv2D(
                channels,
                size,
                padding="same",
                activation="relu",
                kernel_initializer=start,
                name=name,
            )
            return make(tensor)

        pooled = []
        for number, of_trunk in enumerate(maps, start=1):
            tensor = list(of_trunk.values())[-1]
            side, channels = tensor.shape[1], tensor.shape[3]
            joined = [tensor]
            for bins in sorted({min(bins, side) for bins in self.bins}):
                here = f"{number}_{bins}"
                mean = field_means(tensor, bins)
                mean = convolved(mean, max(1, channels // len(self.bins)), 1, f"reduced_{here}")
                joined.append(enlarged(mean, side))
            joined = layers.Concatenate(name=f"pyramid_{number}")(joined)
            joined = convolved(joined, self.channels, 3, f"mixed_{number}")
            pooled.append(layers.GlobalAveragePooling2D(name=f"pool_{number}")(joined))
        return side_by_side(pooled, known)
