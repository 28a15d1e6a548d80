"""Backbones: image -> feature map. A part's file has a class `Part(Backbone)`; here is no Keras."""

from typing import TYPE_CHECKING, ClassVar

from cxrkeras.registry import BACKBONES, Part
from data_prep.errors import UserError

if TYPE_CHECKING:
    import keras


class Backbone(Part):
    """What a backbone is: its trunk, and the scaling that the trunk's weights expect.

    A part of its own has `build`, and says `scaling` and `side` where they differ.

    Attributes:
        scaling: what its pixels are, one of `shared.scaling.SCALINGS`.
        side: the smallest image side in pixels that it accepts.
    """

    scaling: ClassVar[str] = "none"
    side: ClassVar[int] = 32

    def build(self, image_size: int, weights: str | None) -> "keras.Model":
        """The trunk under any name; arguments as `trunk` has them."""
        raise NotImplementedError

    def smallest(self) -> int:
        """The smallest image side in pixels that it accepts, found without building anything."""
        return self.side

    def check(self, image_size: int) -> None:
        """Refuse images that are too small.

        Raises:
            UserError: the side is under `smallest`.
        """
        if image_size < self.smallest():
            raise UserError(
                f"{self} needs images of at least {self.smallest()} px. "
                f"Received: {image_size}. Raise --image-size."
            )

    def trunk(
        self, image_size: int, *, name: str | None = None, weights: str | None = None
    ) -> "keras.Model":
        """The backbone without its top: (N, S, S, 3) scaled image -> (N, h, w, C) feature map.

        Args:
            image_size: the side S in pixels.
            name: the layer name in a larger model; the part's own by default.
            weights: None for a random start, or `imagenet` for those that its makers publish.

        Raises:
            UserError: the image is smaller than it accepts, or it has no such weights.
        """
        self.check(image_size)
        trunk = self.build(image_size, weights)
        trunk.name = name or self.part_name()  # as an argument, EfficientNetV2 takes it for a key
        return trunk

    def scaled(self, image, *, trunk: str | None = None):
        """Grey replicated to three channels and scaled as the weights expect it.

        Keras's own layers do it, so that a saved model opens where this package isn't installed.

        Args:
            image: (N, H, W, 1) float, 0-255, symbolic or an array.
            trunk: the trunk that the layers stand before and are named after.

        Returns:
            (N, H, W, 3) float.
        """
        from cxrkeras.models.backbones.shared.scaling import SCALINGS, grey_to_colour

        return grey_to_colour(image, SCALINGS[self.scaling], trunk=trunk)

    def maps(self, trunk: "keras.Model") -> "dict[str, keras.KerasTensor]":
        """The maps of a trunk of it by their stride in pixels of the image, the last among them.

        Args:
            trunk: as `trunk` gives it.

        Returns:
            {`s04`: (N, h, w, C), `s08`: …}, tensors of the trunk's own graph, the strides
            ascending. Which strides there are depends on the backbone.
        """
        from cxrkeras.models.backbones.shared.strides import maps_by_stride

        return maps_by_stride(trunk)


def check_backbone(text: str, image_size: int) -> Backbone:
    """The backbone, `NAME` or `NAME:key=value`, if it takes such images.

    Raises:
        UserError: there is no such backbone or option, or the image is smaller than it accepts.
    """
    backbone = BACKBONES.make(text)
    backbone.check(image_size)
    return backbone
