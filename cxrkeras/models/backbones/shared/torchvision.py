"""Networks of torchvision that Keras doesn't have: what they share."""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from cxrkeras.models.backbones import Backbone
from data_prep.errors import UserError

if TYPE_CHECKING:
    import keras

EPSILON = 1e-5
"""Of `nn.BatchNorm2d`."""


class Torchvision(Backbone):
    """The base of these backbones; `files` names first torchvision's own."""

    scaling: ClassVar[str] = "torch"

    @abstractmethod
    def net(self, image_size: int) -> "keras.Model":
        """(N, S, S, 3) -> (N, h, w, C)."""
        raise NotImplementedError

    def build(self, image_size: int, weights: str | None) -> "keras.Model":
        """The network at a random start.

        Raises:
            UserError: `imagenet` was asked for, which Keras doesn't have for it.
        """
        if not weights:
            return self.net(image_size)
        name, theirs = self.part_name(), self.files[0].rpartition(" ")[2]
        file = theirs.lower().replace("-", "_")
        raise UserError(
            f"Keras has no ImageNet weights for {name}. Received: --source {weights}. Download "
            f"torchvision's {theirs}, run cxrkeras weights import {file}.pth --as {name} "
            "--trunk-only, and give the trunk file as --source."
        )


def convolution(
    x, filters: int, size: int, name: str, *, norm: str, stride: int = 1, pad: int = 0, bias=False
):
    """Padding as PyTorch does it, convolution, batch-norm `norm`."""
    from keras import layers

    if pad:
        x = layers.ZeroPadding2D(pad, name=f"{name.removesuffix('_conv')}_pad")(x)
    x = layers.Conv2D(
        filters,
        size,
        strides=stride,
        use_bias=bias,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    return layers.BatchNormalization(epsilon=EPSILON, name=norm)(x)
