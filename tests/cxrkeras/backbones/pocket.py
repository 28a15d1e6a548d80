"""A strided convolution, batch-norm and ReLU, as a Sequential: traced in no time."""

import keras

from cxrkeras.models.backbones import Backbone

WIDTH = 16


class Part(Backbone):
    """(N, S, S, 3) -> (N, h, w, 16) at stride 4, without padding."""

    scaling = "tf"

    def build(self, image_size: int, weights: str | None) -> keras.Model:
        layers = keras.layers
        return keras.Sequential(
            [
                keras.Input((image_size, image_size, 3)),
                layers.Conv2D(WIDTH, 5, strides=4),
                layers.BatchNormalization(),
                layers.ReLU(),
            ]
        )
