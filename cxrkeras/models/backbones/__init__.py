"""Backbones: image -> feature map. A part's file has a class `Part(Backbone)`. Imports no Keras."""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from cxrkeras.registry import BACKBONES, Part
from data_prep.errors import UserError

if TYPE_CHECKING:
    import keras


class Backbone(Part):
    """The base of backbones: a trunk, and the scaling that its weights expect.

    A part defines `build`, and `scaling`, `side` and `published` if they differ.

    Attributes:
        scaling: how its pixels are scaled: one of `shared.scaling.SCALINGS`.
        side: the smallest image side in pixels that it accepts.
        published: whether `build` takes the published weights `imagenet`; refused if not.
    """

    scaling: ClassVar[str] = "none"
    side: ClassVar[int] = 32
    published: ClassVar[bool] = False

    @abstractmethod
    def build(self, image_size: int, weights: str | None) -> "keras.Model":
        """Build the trunk; arguments as for `trunk`."""
        raise NotImplementedError

    def smallest(self) -> int:
        """The smallest image side in pixels that it accepts, found without building anything."""
        return self.side

    def check(self, image_size: int, option: str = "--image-size") -> None:
        """Refuse images that are too small.

        Args:
            image_size: their side in pixels.
            option: what decides that side.

        Raises:
            UserError: the side is below `smallest`.
        """
        if image_size < self.smallest():
            raise UserError(
                f"{self} needs images of at least {self.smallest()} px. "
                f"Received: {image_size}. Raise {option}."
            )

    def trunk(
        self, image_size: int, *, name: str | None = None, weights: str | None = None
    ) -> "keras.Model":
        """The backbone without its top: (N, S, S, 3) scaled image -> (N, h, w, C) feature map.

        Args:
            image_size: the side S in pixels.
            name: the layer name in a larger model; the part's own by default.
            weights: None for a random start, or `imagenet` for the published weights.

        Raises:
            UserError: the image is too small, or there are no such weights.
        """
        self.check(image_size)
        trunk = self.build(image_size, weights)  # may refuse weights in words of its own
        if weights and not self.published:
            raise UserError(
                f"There are no published weights of {self}. Received: --source {weights}. "
                "Leave it out, or give a weights file or a dataset."
            )
        trunk.name = name or self.part_name()  # as an argument, EfficientNetV2 takes it for a key
        return trunk

    def scaled(self, image, *, trunk: str | None = None):
        """Grey replicated to three channels and scaled as the weights expect it.

        Keras's own layers do it, so that a saved model opens without this package.

        Args:
            image: (N, H, W, 1) float, 0-255, symbolic or an array.
            trunk: the trunk that the layers stand before and are named after.

        Returns:
            (N, H, W, 3) float.
        """
        from cxrkeras.models.backbones.shared.scaling import SCALINGS, grey_to_colour

        return grey_to_colour(image, SCALINGS[self.scaling], trunk=trunk)

    def maps(self, trunk: "keras.Model") -> "dict[str, keras.KerasTensor]":
        """A trunk's maps by their stride in pixels of the image, including the last.

        Args:
            trunk: as `trunk` returns it.

        Returns:
            {`s04`: (N, h, w, C), `s08`: …}, tensors of the trunk's own graph, the strides
            ascending. Which strides there are depends on the backbone.
        """
        from cxrkeras.models.backbones.shared.strides import maps_by_stride

        return maps_by_stride(trunk)


def check_backbone(text: str, image_size: int) -> Backbone:
    """Return the backbone `NAME` or `NAME:key=value`, if it accepts such images.

    Raises:
        UserError: there is no such backbone or option, or the image is too small.
    """
    backbone = BACKBONES.make(text)
    backbone.check(image_size)
    return backbone
