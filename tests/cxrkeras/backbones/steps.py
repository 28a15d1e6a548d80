"""Strided convolutions alone, with a map at each stride from 4 to 32: traced in no time."""

import keras

from cxrkeras.models.backbones import Backbone


class Part(Backbone):
    """(N, S, S, 3) -> (N, S/32, S/32, 16), and its maps at strides 4, 8 and 16 have 4, 8, 12."""

    scaling = "tf"

    def build(self, image_size: int, weights: str | None) -> keras.Model:
        layers = keras.layers
        x = image = keras.Input((image_size, image_size, 3))
        for width, stride in ((4, 4), (8, 2), (12, 2), (16, 2)):
            x = layers.Conv2D(width, 3, strides=stride, padding="same", activation="relu")(x)
        return keras.Model(image, x)
