"""Records what Keras 2 makes of the seeded weights: `python record_keras2.py`. Needs tf_keras.

tf_keras is Keras 2 itself, kept alive beside TensorFlow. Its files are the genuine layout. The
first ResNet50 of Keras (2017, `res2a_branch2a`), which no living package has, is built here after
keras-applications: the stride in the first 1x1, batch-norm epsilon 1e-3, biases.
"""

import tempfile
from pathlib import Path

import h5py
import numpy as np
import tf_keras
from tf_keras import layers

from tests.cxrkeras.models.importing.seeded import FIXTURES, Recorded, images, value, write_recorded

LABELS = 14
# What CheXNet-Keras and keras.applications do to pixels: the trunk's own mode.
MODES = {
    "densenet121": ("DenseNet121", "densenet", 64),
    "xception": ("Xception", "xception", 80),
    "inception_v3": ("InceptionV3", "inception_v3", 80),
    "vgg16": ("VGG16", "vgg16", 64),
    "resnet50": ("ResNet50", "resnet", 64),
}


def first_resnet50(side: int) -> tf_keras.Model:
    """ResNet50 of keras-applications 1.0, with the padding before the maximum pooling."""

    def unit(x, filters, size, names, stride=1):
        x = layers.Conv2D(filters, size, strides=stride, padding="same", name=names[0])(x)
        return layers.BatchNormalization(name=names[1])(x)

    image = layers.Input((side, side, 3))
    x = layers.ZeroPadding2D(3, name="conv1_pad")(image)
    x = layers.Conv2D(64, 7, strides=2, name="conv1")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="bn_conv1")(x))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1, name="pool1_pad")(x))
    for stage, (filters, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=2):
        for block in "abcdef"[:blocks]:
            stride = 2 if block == "a" and stage > 2 else 1

            def names(branch, at=f"{stage}{block}"):
                return f"res{at}_branch{branch}", f"bn{at}_branch{branch}"

            shortcut = unit(x, 4 * filters, 1, names("1"), stride) if block == "a" else x
            y = layers.ReLU()(unit(x, filters, 1, names("2a"), stride))
            y = layers.ReLU()(unit(y, filters, 3, names("2b")))
            y = unit(y, 4 * filters, 1, names("2c"))
            x = layers.ReLU()(layers.add([y, shortcut]))
    return tf_keras.Model(image, x)


def record(name: str, trunk: tf_keras.Model, module: str, side: int) -> None:
    """Fill trunk and a `predictions` layer, run them, keep the file's names and the results."""
    pooled = layers.GlobalAveragePooling2D(name="avg_pool")(trunk.output)
    predictions = layers.Dense(LABELS, activation="sigmoid", name="predictions")
    model = tf_keras.Model(trunk.input, predictions(pooled))
    for variable in model.weights:
        variable.assign(value(variable.name, tuple(variable.shape)))
    shapes, listed = _file_names(model)
    grey = np.repeat(images(side), 3, axis=-1)
    pixels = getattr(tf_keras.applications, module).preprocess_input(grey.copy())
    features = tf_keras.Model(trunk.input, pooled).predict(pixels, verbose=0)
    kernel, bias = predictions.get_weights()
    logits = np.float64(features) @ kernel + bias
    write_recorded(FIXTURES / f"keras2_{name}.npz", Recorded(shapes, listed, features, logits))


def _file_names(model: tf_keras.Model) -> tuple[dict, dict]:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "x.h5")
        model.save_weights(path)
        with h5py.File(path) as file:
            names = {
                layer: list(file[layer].attrs["weight_names"])
                for layer in file.attrs["layer_names"]
            }
            shapes = {
                weight: file[layer][weight].shape for layer in names for weight in names[layer]
            }
    return shapes, names


if __name__ == "__main__":
    FIXTURES.mkdir(exist_ok=True)
    for backbone, (constructor, module, side) in MODES.items():
        build = getattr(tf_keras.applications, constructor)
        trunk = build(include_top=False, weights=None, input_shape=(side, side, 3))
        record(backbone, trunk, module, side)
        tf_keras.backend.clear_session()
    record("first_resnet50", first_resnet50(64), "resnet", 64)
