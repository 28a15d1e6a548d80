"""Four residual blocks at strides 4 to 32: a backbone to try things out with, trained in no time.

Source: He et al., Identity Mappings in Deep Residual Networks (ECCV 2016), in small.
"""

from cxrkeras.models.backbones import Backbone
from cxrkeras.registry import option


class Part(Backbone):
    """Its maps at strides 4, 8, 16 and 32 are found by the common rule."""

    scaling = "tf"

    width: int = option(8, "Channels at stride 4; each further stride has twice as many.", ge=1)

    def build(self, image_size, weights):
        """(N, S, S, 3) -> (N, S/32, S/32, 8 * width)."""
        import keras
        from keras import layers

        image = keras.Input((image_size, image_size, 3))
        x = layers.Conv2D(self.width, 4, strides=4, padding="same", name="patches")(image)
        x = _block(x, self.width, 1, "block_1")
        for number in (2, 3, 4):
            x = _block(x, self.width * 2 ** (number - 1), 2, f"block_{number}")
        x = layers.BatchNormalization(name="last_norm")(x)
        return keras.Model(image, layers.ReLU(name="last")(x))


def _block(x, width, stride, name):
    from keras import layers

    y = layers.BatchNormalization(name=f"{name}_norm")(x)
    y = layers.ReLU(name=f"{name}_relu")(y)
    short = layers.Conv2D(width, 1, strides=stride, name=f"{name}_short")(y)
    y = layers.Conv2D(width, 3, strides=stride, padding="same", name=f"{name}_conv")(y)
    return layers.Add(name=f"{name}_sum")([short, y])
