"""The registry of backbones: image models, an entry each. Imports no Keras."""

from dataclasses import dataclass
from typing import Literal

from data_prep.errors import UserError

Scaling = Literal["caffe", "torch", "tf", "none"]


@dataclass(frozen=True)
class Backbone:
    """A registry entry.

    Args:
        application: name of the constructor in `keras.applications`, or in `applications.OWN`.
        scaling: what its ImageNet weights expect, see `applications.SCALINGS`.
        smallest: the smallest image side in pixels that it accepts.
    """

    application: str
    scaling: Scaling
    smallest: int = 32


BACKBONES: dict[str, Backbone] = {
    "resnet50": Backbone("ResNet50", "caffe"),
    "densenet121": Backbone("DenseNet121", "torch"),
    "xception": Backbone("Xception", "tf", smallest=71),
    "inception_v3": Backbone("InceptionV3", "tf", smallest=75),
    "vgg16": Backbone("VGG16", "caffe"),
    "nasnet_mobile": Backbone("NASNetMobile", "tf"),
    "efficientnet_v2_b0": Backbone("EfficientNetV2B0", "none"),
    "convnext_tiny": Backbone("ConvNeXtTiny", "none"),
    "resnet101": Backbone("ResNet101", "caffe"),
    "mobilenet_v3_small": Backbone("MobileNetV3Small", "none"),
    "resnet50_v1_5": Backbone("ResNet50V1_5", "torch"),
}


def check_backbone(backbone: str, image_size: int) -> Backbone:
    """The registry entry of a backbone that takes such images.

    Raises:
        UserError: for an unknown backbone or an image smaller than it accepts.
    """
    if backbone not in BACKBONES:
        raise UserError(
            f"--backbone must be one of {', '.join(BACKBONES)}. Received: {backbone!r}."
        )
    entry = BACKBONES[backbone]
    if image_size < entry.smallest:
        raise UserError(
            f"{backbone} needs images of at least {entry.smallest} px. "
            f"Received: {image_size}. Raise --image-size."
        )
    return entry
