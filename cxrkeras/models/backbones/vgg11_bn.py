"""VGG11 with batch-norm after each convolution, as torchvision has it.

Source: Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition
(ICLR 2015), configuration A; batch-norm as in torchvision.
"""

from typing import TYPE_CHECKING, ClassVar

from cxrkeras.models.backbones.shared.torchvision import Torchvision, convolution

if TYPE_CHECKING:
    import keras

WIDTHS = ((64,), (128,), (256, 256), (512, 512), (512, 512))
"""Filters of the 3x3 convolutions before each maximum pooling."""


class Part(Torchvision):
    """VGG11 with batch-norm; its map is that after the last pooling."""

    files: ClassVar[tuple[str, ...]] = ("PyTorch's VGG11-BN",)
    torch_bias: ClassVar[bool] = True

    def net(self, image_size: int) -> "keras.Model":
        """(N, S, S, 3) -> (N, S/32, S/32, 512)."""
        import keras
        from keras import layers

        x = image = keras.Input((image_size, image_size, 3))
        for block, widths in enumerate(WIDTHS, start=1):
            for number, filters in enumerate(widths, start=1):
                name = f"block{block}_conv{number}"
                x = convolution(x, filters, 3, name, norm=f"{name}_bn", pad=1, bias=True)
                x = layers.ReLU(name=f"{name}_relu")(x)
            x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
        return keras.Model(image, x, name=self.part_name())

    def torch_modules(self) -> dict[str, str]:
        """As the base class says: `features` counts ReLUs and poolings too."""
        modules, place = {}, 0
        for block, widths in enumerate(WIDTHS, start=1):
            for number in range(1, len(widths) + 1):
                name = f"block{block}_conv{number}"
                modules |= {name: f"features.{place}", f"{name}_bn": f"features.{place + 1}"}
                place += 3
            place += 1
        return modules
