"""A shallow branch that sees the image at its full resolution, beside the deep trunk.

Source: Zhao et al., ICNet, ECCV 2018; on ChestX-ray14 the Tsinghua report, whose deep net sees 224
px (`deep=2` at 448 px). Where the report is silent, widths, strides and batch norm of the branch
are ours, and so is the convolution after joining: without one, as reported, it changes next to
nothing to what side the maps are brought, since the mean of such a map is that of the original.
"""

from typing import ClassVar

from cxrkeras.models.heads import FULL
from cxrkeras.models.heads.shared.dense import DenseHead, side_by_side
from cxrkeras.models.heads.shared.fields import enlarged, field_means
from cxrkeras.registry import option


class Part(DenseHead):
    """Three convolutions of stride 2, brought to the deep map's side, joined with it and pooled."""

    strides: ClassVar[tuple[str, ...]] = (FULL,)
    widths: ClassVar[tuple[int, ...]] = (32, 64, 128)

    deep: int = option(1, "How many times smaller the image is that the trunks see.", ge=1)
    channels: int = option(0, "Of a 3x3 convolution after joining; 0 for none, as reported.", ge=0)

    @property
    def shrinks(self) -> int:
        """See `Head`."""
        return self.deep

    def features(self, maps, known, *, seed):
        """(N, 128 + C of each trunk, or `channels`), then the further inputs."""
        from keras import initializers, layers

        draws = iter(range(seed, seed + 1000))

        def convolved(tensor, channels: int, stride: int, name: str):
            tensor = layers.Conv2D(
                channels,
                3,
                strides=stride,
                padding="same",
                use_bias=False,  # batch norm has one
                kernel_initializer=initializers.HeUniform(next(draws)),
                name=name,
            )(tensor)
            tensor = layers.BatchNormalization(name=f"{name}_norm")(tensor)
            return layers.ReLU(name=f"{name}_relu")(tensor)

        pooled = []
        for number, of_trunk in enumerate(maps, start=1):
            shallow, deep = of_trunk[FULL], list(of_trunk.values())[-1]
            for step, width in enumerate(self.widths, start=1):
                shallow = convolved(shallow, width, 2, f"shallow_{number}_{step}")
            shallow = _at_side(shallow, deep.shape[1])
            joined = layers.Concatenate(name=f"joined_{number}")([shallow, deep])
            if self.channels:
                joined = convolved(joined, self.channels, 1, f"mixed_{number}")
            pooled.append(layers.GlobalAveragePooling2D(name=f"pool_{number}")(joined))
        return side_by_side(pooled, known)


def _at_side(tensor, side: int):
    """Averaged over fields where it is finer, interpolated where it is coarser."""
    if tensor.shape[1] == side:
        return tensor
    return field_means(tensor, side) if tensor.shape[1] > side else enlarged(tensor, side)
