"""Random changes of training images: one operation per file."""

from typing import TYPE_CHECKING, Any

from cxrkeras.registry import Part

if TYPE_CHECKING:
    from cxrkeras.data.augmentation.shared.draws import Draws

FULL_RANGE = 255.0
"""The highest grey value of an image; the lowest is 0."""


class Operation(Part):
    """A random change of each image of a batch, with options that say how far it may go.

    It uses `keras.ops`, imported within the methods, because presets are named and checked without
    Keras.
    """

    def neutral(self) -> bool:
        """Whether these options change nothing; such an operation draws no random numbers."""
        raise NotImplementedError

    def apply(self, images: Any, draws: "Draws") -> Any:
        """Change the images; at strength 0 they stay the same to the last bit.

        Args:
            images: (N, H, W, 1) float32, 0-255 except where earlier operations left that range,
                which is clipped after the last one.
            draws: the only source of randomness; its numbers shrink with the strength, from 1 to 0.
                They come in the order in which they are asked for, so another order gives other
                results.

        Returns:
            The same shape and dtype.
        """
        raise NotImplementedError
