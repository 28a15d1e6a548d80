"""Crops in a network's graph, by Keras's own layers, so that models open without this package."""

from collections.abc import Iterable, Mapping

import keras
from keras import layers

from cxrkeras.data.inputs import IMAGE
from cxrkeras.models.views import Crop, Views

VIEW = "view"
"""The nested model that answers for one crop, where there are several; see `view_name`."""


def view_name(inputs: Iterable[str]) -> str:
    """What that is called: another name where an input has this one."""
    return f"one_{VIEW}" if VIEW in inputs else VIEW


def first_crop(image: keras.KerasTensor, views: Views) -> keras.KerasTensor:
    """(N, S, S, 1) -> (N, s, s, 1), what is learnt from; the image itself if it is all of it."""
    side = image.shape[1]
    return _cut(image, views.crops(side)[0], views.seen(side), "crop")


def mean_over_crops(
    inputs: Mapping[str, keras.KerasTensor], view: keras.Model, views: Views
) -> keras.KerasTensor:
    """The mean over an image's crops of what `view` gives, (N, K); arguments as `each_crop`."""
    return keras.ops.mean(each_crop(inputs, view, views), axis=0)


def each_crop(
    inputs: Mapping[str, keras.KerasTensor], view: keras.Model, views: Views
) -> keras.KerasTensor:
    """What `view` gives of each of an image's crops, (V, N, K).

    The crops go through `view` as one batch, so that its graph is there once.

    Args:
        inputs: the network's, `image` (N, S, S, 1) and others (N, 1).
        view: the same inputs in a list, but the image (N, s, s, 1) -> (N, K).
        views: which crops.
    """
    image, size = inputs[IMAGE], inputs[IMAGE].shape[1]
    side, crops = views.seen(size), views.crops(size)
    mirrored = keras.ops.flip(image, axis=2) if any(crop.mirrored for crop in crops) else None
    cut = []
    for number, crop in enumerate(crops, start=1):
        there = crop._replace(left=size - side - crop.left) if crop.mirrored else crop
        cut.append(_cut(mirrored if crop.mirrored else image, there, side, f"crop_{number}"))
    batch = [
        layers.Concatenate(axis=0, dtype="float32", name=f"all_{name}")(
            cut if name == IMAGE else [value] * len(crops)
        )
        for name, value in inputs.items()
    ]
    told = view(batch if len(batch) > 1 else batch[0])
    return keras.ops.reshape(told, (len(crops), -1, told.shape[-1]))


def _cut(image: keras.KerasTensor, crop: Crop, side: int, name: str) -> keras.KerasTensor:
    rest = image.shape[1] - side
    edges = (crop.top, rest - crop.top), (crop.left, rest - crop.left)
    beyond, within = (
        tuple(tuple(max(0, sign * edge) for edge in pair) for pair in edges) for sign in (-1, 1)
    )
    if any(map(any, beyond)):
        image = layers.ZeroPadding2D(beyond, dtype="float32", name=f"{name}_beyond")(image)
    if any(map(any, within)):
        image = layers.Cropping2D(within, dtype="float32", name=name)(image)
    return image
