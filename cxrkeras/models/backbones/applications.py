"""A backbone without its top, and the scaling that its weights expect."""

import keras

from cxrkeras.models.backbones.registry import Scaling, check_backbone
from cxrkeras.models.backbones.resnet_v1_5 import resnet50_v1_5

# y = x * scale + offset per channel, x grey in 0..255, as in keras.applications.imagenet_utils.
# `caffe` is the original ResNet's: channels in BGR order, means subtracted, no scaling.
SCALINGS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "caffe": ((1.0, 1.0, 1.0), (-103.939, -116.779, -123.68)),
    "torch": (
        (1 / (255 * 0.229), 1 / (255 * 0.224), 1 / (255 * 0.225)),
        (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
    ),
    "tf": ((1 / 127.5,) * 3, (-1.0,) * 3),
    "none": ((1.0,) * 3, (0.0,) * 3),  # the application scales inside
}


OWN = {"ResNet50V1_5": resnet50_v1_5}
"""Constructors that `keras.applications` doesn't have; called as its are."""


def grey_to_backbone(image, scaling: Scaling, *, trunk: str | None = None):
    """Grey replicated to three channels and scaled as a backbone's weights expect it.

    Keras's own layers do it, so that a saved model opens where this package isn't installed.

    Args:
        image: (N, H, W, 1) float, 0-255, symbolic or an array.
        scaling: one of `caffe`, `torch`, `tf`, `none`.
        trunk: the trunk that the layers stand before and are named after.

    Returns:
        (N, H, W, 3) float.
    """
    repeated, scaled = (f"{verb}_{trunk}" if trunk else None for verb in ("repeat", "scale"))
    grey = keras.layers.Concatenate(name=repeated)([image] * 3)
    if scaling == "none":
        return grey
    scale, offset = map(list, SCALINGS[scaling])
    return keras.layers.Rescaling(scale, offset, name=scaled)(grey)


def build_trunk(
    backbone: str, image_size: int, *, name: str | None = None, weights: str | None = None
) -> keras.Model:
    """A backbone without its top: (N, S, S, 3) scaled image -> (N, h, w, C) feature map.

    Args:
        backbone: a key of `BACKBONES`.
        image_size: the side S in pixels.
        name: the layer name in a larger model; the backbone's own by default.
        weights: `None` for a random start or `imagenet` (downloaded by Keras, or from its cache).

    Raises:
        UserError: for an unknown backbone or an image smaller than it accepts.
    """
    entry = check_backbone(backbone, image_size)
    constructor = OWN.get(entry.application) or getattr(keras.applications, entry.application)
    trunk = constructor(include_top=False, weights=weights, input_shape=(image_size, image_size, 3))
    trunk.name = name or backbone  # as an argument, EfficientNetV2 takes it for its variant's key
    return trunk
