"""ResNet50 "v1.5", as torchvision and NVIDIA train it: the stride is in the 3x3 convolution.

`keras.applications.ResNet50` is He et al. (CVPR 2016) as published in Caffe: a block that halves
the map does so in its first 1x1 convolution. torchvision's does it in the 3x3, which sees every
pixel, so the weights of one are nonsense in the other. Further differences: no bias in the
convolutions, batch-norm epsilon 1e-5, and PyTorch's symmetric padding (Keras's "same" pads an even
side by 0 and 1). Layer names are those of `keras.applications`.

Source: He et al., Deep Residual Learning for Image Recognition (CVPR 2016); the stride as in Goyal
et al., Accurate, Large Minibatch SGD (2017).
"""

from typing import TYPE_CHECKING

from cxrkeras.models.backbones import Backbone
from data_prep.errors import UserError

if TYPE_CHECKING:
    import keras

EPSILON = 1e-5
STACKS = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Filters of the 3x3 convolution and number of blocks; the map has four times the filters."""


class Part(Backbone):
    """ResNet50 v1.5, whose stride is in the 3x3 convolution."""

    scaling = "torch"

    def build(self, image_size: int, weights: str | None) -> "keras.Model":
        """(N, S, S, 3) -> (N, S/32, S/32, 2048).

        Raises:
            UserError: `imagenet` was asked for, which Keras doesn't have for it.
        """
        if weights:
            raise UserError(
                "Keras has no ImageNet weights for resnet50_v1_5. Received: --source imagenet. "
                "Download torchvision's ResNet50, run cxrkeras weights import resnet50.pth --as "
                "resnet50_v1_5 --trunk-only, and give the trunk file as --source."
            )
        return _trunk(image_size)


def _trunk(image_size: int) -> "keras.Model":
    import keras
    from keras import layers

    image = keras.Input((image_size, image_size, 3))
    x = _convolution(image, 64, 7, "conv1", stride=2, pad=3)
    x = layers.ReLU(name="conv1_relu")(x)
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)  # zeros can't win: nothing is below 0 here
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    for stack, (filters, blocks) in enumerate(STACKS, start=2):
        for block in range(1, blocks + 1):
            stride = 2 if block == 1 and stack > 2 else 1
            x = _block(x, filters, f"conv{stack}_block{block}", stride, project=block == 1)
    return keras.Model(image, x, name="resnet50_v1_5")


def _block(x, filters: int, name: str, stride: int, *, project: bool):
    """Bottleneck: 1x1, 3x3 with the stride, 1x1, added to the input or its projection."""
    from keras import layers

    shortcut = _convolution(x, 4 * filters, 1, f"{name}_0", stride=stride) if project else x
    x = _convolution(x, filters, 1, f"{name}_1")
    x = layers.ReLU(name=f"{name}_1_relu")(x)
    x = _convolution(x, filters, 3, f"{name}_2", stride=stride, pad=1)
    x = layers.ReLU(name=f"{name}_2_relu")(x)
    x = _convolution(x, 4 * filters, 1, f"{name}_3")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.ReLU(name=f"{name}_out")(x)


def _convolution(x, filters: int, size: int, name: str, *, stride: int = 1, pad: int = 0):
    """Padding as PyTorch does it, convolution without bias, batch-norm."""
    from keras import layers

    if pad:
        x = layers.ZeroPadding2D(pad, name=f"{name}_pad")(x)
    x = layers.Conv2D(
        filters,
        size,
        strides=stride,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(x)
