"""What lets a trunk see a larger image than it was trained on, at about its own costs.

`conv4`, after DNetLoc (Gündel et al., Learning to Recognize Abnormalities in Chest X-Rays with
Location-Aware Dense Networks, 2018): two 3x3 convolutions of stride 2 before the trunk, which so
sees 1024 px as 256. They stand behind the scaling of pixels and end in the three channels that a
trained first convolution takes. Ours: they are added to the image shrunk by averaging, and the last
starts at zero, so that at the start a trained trunk sees what it was trained on; and their width.

`pool2`, after Baltruschat et al. (Scientific Reports 9, 6381, 2019): one more maximum pooling
within the trunk, for 448 px. Ours: it is 3x3 with stride 2, and stands behind the trunk's finest
map (of ResNet50 behind conv2). Pooling pixels instead would throw away what was gained.
"""

from typing import NamedTuple, Protocol

import keras
from keras import layers

from cxrkeras.models.backbones.shared.scaling import Scaling
from cxrkeras.models.backbones.shared.strides import key
from cxrkeras.models.graph import called_by_layers, source
from data_prep.errors import UserError

WIDTH = 24
"""Channels of the first of two convolutions."""
SPREAD = 57.0
"""About a standard deviation of ImageNet's pixels, 0-255: the unit of what the stem adds."""


class Bare(Protocol):
    """What stems ask of a backbone."""

    def part_name(self) -> str: ...
    def pixels(self) -> Scaling: ...
    def build(self, image_size: int, weights: str | None) -> keras.Model: ...
    def own_maps(self, trunk: keras.Model) -> dict[str, keras.KerasTensor]: ...


class Stemmed(NamedTuple):
    """A trunk with its stem, and its maps by their stride in pixels of the image."""

    trunk: keras.Model
    maps: dict[str, keras.KerasTensor]


def convolved(backbone: Bare, image_size: int, weights: str | None) -> Stemmed:
    """Two convolutions, then the backbone as a nested model, whose weights files fit it alone."""
    slope, _ = backbone.pixels()
    image = keras.Input((image_size, image_size, 3))
    x = layers.ZeroPadding2D(1, name="stem_1_pad")(image)
    x = layers.Conv2D(
        WIDTH, 3, strides=2, use_bias=False, kernel_initializer="he_normal", name="stem_1_conv"
    )(x)
    x = layers.BatchNormalization(epsilon=1e-5, name="stem_1_bn")(x)
    x = layers.ReLU(name="stem_1_relu")(x)
    x = layers.ZeroPadding2D(1, name="stem_2_pad")(x)
    x = layers.Conv2D(3, 3, strides=2, kernel_initializer="zeros", name="stem_2_conv")(x)
    x = layers.Rescaling([SPREAD * each for each in slope], name="stem_unit")(x)
    shrunk = layers.AveragePooling2D(4, padding="same", name="stem_shrunk")(image)
    x = layers.Add(name="stem_add")([shrunk, x])
    body = backbone.build(x.shape[1], weights)
    body.name = backbone.part_name()
    maps = {
        key(4 * int(stride[1:])): tensor
        for stride, tensor in nested(body, backbone.own_maps(body), x).items()
    }
    return Stemmed(keras.Model(image, [*maps.values()][-1]), maps)


def pooled(backbone: Bare, image_size: int, weights: str | None) -> Stemmed:
    """The backbone's own layers, one of pooling among them.

    Raises:
        UserError: not all ways lead through its finest map, or there is but one.
    """
    body = backbone.build(image_size, weights)
    maps = backbone.own_maps(body)
    finest, *others = maps
    maker, _ = source(maps[finest])
    if not others or isinstance(maker, keras.Model):
        raise _no_place(backbone)
    before = []

    def instead(operation):
        def call(*args, **kwargs):
            before.append(operation(*args, **kwargs))
            return layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(before[0])

        return call if operation is maker else operation

    image = keras.Input((image_size, image_size, 3))
    try:
        after = called_by_layers(keras.Model(body.inputs[0], [*maps.values()]), [image], instead)
    except ValueError as error:  # maps that don't go together, since a way leads around
        raise _no_place(backbone) from error
    flat = keras.Model(image, [before[0], *after])
    copy = keras.models.clone_model(flat)  # each layer with one call, as elsewhere
    copy.set_weights(flat.get_weights())
    strides = [int(finest[1:]), *(2 * int(stride[1:]) for stride in maps)]
    known = dict(zip(map(key, strides), copy.outputs, strict=True))
    return Stemmed(keras.Model(copy.inputs[0], copy.outputs[-1]), known)


STEMS = {"conv4": convolved, "pool2": pooled}


def nested(trunk: keras.Model, maps: dict, image) -> dict[str, keras.KerasTensor]:
    """A trunk's maps of another tensor than its input: it stands there as a model of that name."""
    found = keras.Model(trunk.inputs[0], [*maps.values()], name=trunk.name)(image)
    return dict(zip(maps, found if isinstance(found, list) else [found], strict=True))


def _no_place(backbone: Bare) -> UserError:
    return UserError(
        f"--backbone {backbone}: there is no place for a pooling in it, since not all of its "
        "layers lie behind its finest map. Give stem=conv4, or another backbone."
    )
