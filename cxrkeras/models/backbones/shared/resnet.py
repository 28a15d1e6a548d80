"""torchvision's ResNets: the stride of a stack is in its first block's first 3x3 convolution.

`keras.applications.ResNet50` is He et al. (CVPR 2016) as published in Caffe: a block that halves
the map does so in its first 1x1 convolution. torchvision's does it in the 3x3, which sees every
pixel, so the weights of one are nonsense in the other. Further differences: no bias in the
convolutions, batch-norm epsilon 1e-5, and PyTorch's symmetric padding (Keras's "same" pads an even
side by 0 and 1). Layer names are those of `keras.applications`.
"""

from typing import TYPE_CHECKING, ClassVar

from cxrkeras.models.backbones.shared.torchvision import Torchvision, convolution

if TYPE_CHECKING:
    import keras

WIDTHS = (64, 128, 256, 512)
"""Filters of the 3x3 convolutions in each stack."""


class ResNet(Torchvision):
    """A ResNet of torchvision.

    Attributes:
        blocks: how many, in each stack.
        bottleneck: whether a block is 1x1, 3x3, 1x1 with four times the filters, not 3x3, 3x3.
    """

    blocks: ClassVar[tuple[int, ...]]
    bottleneck: ClassVar[bool] = True

    def net(self, image_size: int) -> "keras.Model":
        """(N, S, S, 3) -> (N, S/32, S/32, 2048), or 512 with basic blocks."""
        import keras
        from keras import layers

        image = keras.Input((image_size, image_size, 3))
        x = _convolution(image, 64, 7, "conv1", stride=2, pad=3)
        x = layers.ReLU(name="conv1_relu")(x)
        x = layers.ZeroPadding2D(1, name="pool1_pad")(x)  # zeros can't win: nothing is below 0 here
        x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
        for stack, (filters, blocks) in enumerate(zip(WIDTHS, self.blocks, strict=True), start=2):
            for block in range(1, blocks + 1):
                stride = 2 if block == 1 and stack > 2 else 1
                x = self._block(x, filters, f"conv{stack}_block{block}", stride)
        return keras.Model(image, x, name=self.part_name())

    def torch_modules(self) -> dict[str, str]:
        """As the base class says."""
        modules = {"conv1_conv": "conv1", "conv1_bn": "bn1"}
        for stack, blocks in enumerate(self.blocks, start=1):
            for block in range(blocks):
                ours, theirs = f"conv{stack + 1}_block{block + 1}", f"layer{stack}.{block}"
                for number in range(1, 4 if self.bottleneck else 3):
                    modules[f"{ours}_{number}_conv"] = f"{theirs}.conv{number}"
                    modules[f"{ours}_{number}_bn"] = f"{theirs}.bn{number}"
            if self.bottleneck or stack > 1:
                first = f"conv{stack + 1}_block1"
                modules[f"{first}_0_conv"] = f"layer{stack}.0.downsample.0"
                modules[f"{first}_0_bn"] = f"layer{stack}.0.downsample.1"
        return modules

    def _block(self, x, filters: int, name: str, stride: int):
        """Convolutions added to the input, or to its projection where the shape changes."""
        from keras import layers

        width = 4 * filters if self.bottleneck else filters
        shortcut = x
        if stride > 1 or x.shape[-1] != width:
            shortcut = _convolution(x, width, 1, f"{name}_0", stride=stride)
        if self.bottleneck:
            x = _convolution(x, filters, 1, f"{name}_1")
            x = layers.ReLU(name=f"{name}_1_relu")(x)
            x = _convolution(x, filters, 3, f"{name}_2", stride=stride, pad=1)
            x = layers.ReLU(name=f"{name}_2_relu")(x)
            x = _convolution(x, width, 1, f"{name}_3")
        else:
            x = _convolution(x, filters, 3, f"{name}_1", stride=stride, pad=1)
            x = layers.ReLU(name=f"{name}_1_relu")(x)
            x = _convolution(x, filters, 3, f"{name}_2", pad=1)
        x = layers.Add(name=f"{name}_add")([shortcut, x])
        return layers.ReLU(name=f"{name}_out")(x)


def _convolution(x, filters: int, size: int, name: str, *, stride: int = 1, pad: int = 0):
    names = {"name": f"{name}_conv", "norm": f"{name}_bn"}
    return convolution(x, filters, size, **names, stride=stride, pad=pad)
