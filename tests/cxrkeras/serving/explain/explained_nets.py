"""Small classifiers to explain, and the images for them."""

import keras
import numpy as np
from keras import layers

from cxrkeras.models.backbones.shared.scaling import SCALINGS, grey_to_colour
from cxrkeras.registry import HEADS

SIDE, LABELS = 30, 3
IMAGES = np.random.default_rng(0).uniform(0, 255, (5, SIDE, SIDE)).astype(np.float32)


def trunk(strides: int, width: int, name: str) -> keras.Model:
    """A nested trunk that ends as the real ones do: batch-norm and ReLU."""
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(width, 5, strides=strides, padding="same", use_bias=False)(image)
    return keras.Model(image, layers.ReLU()(layers.BatchNormalization()(x)), name=name)


def network(*strides: int, seed: int = 0) -> keras.Model:
    """As `models.network` builds it, with a head that has learnt something."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIDE, SIDE, 1), name="image")
    found = []
    for number, stride in enumerate(strides):
        scaled = grey_to_colour(image, SCALINGS["tf"])
        found.append(trunk(stride, 4 + number, f"trunk_{number}")(scaled))
    head = HEADS.make("gap")
    features = head.features([{"last": map_} for map_ in found], None, seed=0)
    logits = head.classify(features, {"target": LABELS}, dropout=0.5, seed=0)["target"]
    model = keras.Model(image, layers.Activation("sigmoid", name="probability")(logits))
    rng = np.random.default_rng(seed)
    for layer in model.layers[-2:-1]:
        layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    return model


def flattening(seed: int = 0) -> keras.Model:
    """A classifier for which CAM isn't exact: the places matter to its dense layers."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIDE, SIDE, 1))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(4, 5, strides=6, activation="softplus", padding="same")(x)
    x = layers.Dense(8, activation="tanh")(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(LABELS, activation="sigmoid")(x))
