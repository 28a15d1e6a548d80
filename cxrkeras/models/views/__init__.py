"""Views: which parts of an image a network sees. Imports no Keras."""

from typing import NamedTuple

from cxrkeras.registry import Part
from data_prep.errors import UserError


class Crop(NamedTuple):
    """A square part of an image, as the trunk sees it.

    Args:
        top: pixels above it; negative where it reaches beyond the image, which is black there.
        left: pixels to the left of it, likewise.
        mirrored: left and right are swapped, once it is cut out.
    """

    top: int
    left: int
    mirrored: bool = False


class Views(Part):
    """Which square parts of an image (S, S) the trunks see: the whole of it, unless a part differs.

    A network learns from the first crop alone; its prediction is the mean of the probabilities of
    all. Crops have one side; the first lies within the image.
    """

    def seen(self, image_size: int) -> int:
        """The crops' side in pixels, for images of this side."""
        return image_size

    def crops(self, image_size: int) -> tuple[Crop, ...]:
        """The crops; the first, which isn't mirrored, is what is learnt from and explained."""
        return (Crop(0, 0),)

    def check(self, image_size: int) -> None:
        """Refuse images that are smaller than the crops.

        Raises:
            UserError: they are.
        """
        if self.seen(image_size) > image_size:
            raise UserError(
                f"--views {self} needs images of at least {self.seen(image_size)} px. "
                f"Received: {image_size}. Raise --image-size, or give --views "
                f"{self.part_name()}:side={image_size}."
            )

    def box(self, image_size: int) -> tuple[float, float, float, float]:
        """Where the first crop lies: left, top, right and bottom in fractions of the image."""
        first, side = self.crops(image_size)[0], self.seen(image_size)
        corners = first.left, first.top, first.left + side, first.top + side
        return tuple(corner / image_size for corner in corners)
