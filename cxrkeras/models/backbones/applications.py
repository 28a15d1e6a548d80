"""A backbone without its top, and the scaling that its weights expect."""

import keras
from keras import ops

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


@keras.saving.register_keras_serializable(package="cxrkeras")
class GreyToBackbone(keras.layers.Layer):
    """Grey replicated to three channels and scaled as a backbone's weights expect it.

    Call: (N, H, W, 1) float, 0-255 -> (N, H, W, 3) float. Channel replication is the broadcast.

    Args:
        scaling: one of `caffe`, `torch`, `tf`, `none`.
    """

    def __init__(self, scaling: Scaling, **kwargs):
        super().__init__(**kwargs)
        self.scaling = scaling

    def call(self, image):
        """Scale and replicate `image`."""
        scale, offset = SCALINGS[self.scaling]
        scale = ops.convert_to_tensor(scale, dtype=self.compute_dtype)
        offset = ops.convert_to_tensor(offset, dtype=self.compute_dtype)
        return image * scale + offset

    def compute_output_shape(self, input_shape):
        """(N, H, W, 1) -> (N, H, W, 3)."""
        return (*input_shape[:-1], 3)

    def get_config(self) -> dict:
        """The arguments, for saving."""
        return {**super().get_config(), "scaling": self.scaling}


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
