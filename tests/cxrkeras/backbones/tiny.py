"""Two strided convolutions with batch-norm: a backbone that takes a second to trace."""

import keras

from cxrkeras.models.backbones import Backbone


class Part(Backbone):
    """(N, S, S, 3) -> (N, h, w, 16) at stride 4, without padding."""

    scaling = "tf"

    def build(self, image_size: int, weights: str | None) -> keras.Model:
        assert weights is None
        x = image = keras.Input((image_size, image_size, 3))
        for number, width in enumerate((8, 16), start=1):
            x = keras.layers.Conv2D(width, 3, strides=2, use_bias=False, name=f"conv_{number}")(x)
            x = keras.layers.BatchNormalization(name=f"norm_{number}")(x)
            x = keras.layers.ReLU(name=f"relu_{number}")(x)
        return keras.Model(image, x)
