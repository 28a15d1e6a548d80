"""Random changes of training images: one operation per file."""

from typing import TYPE_CHECKING, Any

from cxrkeras.registry import Part

if TYPE_CHECKING:
    from cxrkeras.data.augmentation.shared.draws import Draws

FULL_RANGE = 255.0
"""The highest grey value of an image; the lowest is 0."""


class Operation(Part):
    """A random change of each image of a batch, with options that say how far it may go.

    Written with `keras.ops`, imported in the methods, since a preset is named and checked without
    Keras.
    """

    def neutral(self) -> bool:
        """Whether nothing changes with these options; such an operation draws nothing."""
        raise NotImplementedError

    def compiles(self) -> bool:
        """Whether XLA can compile it with these options on the backend of this process."""
        return True

    def apply(self, images: Any, draws: "Draws") -> Any:
        """The changed images; at strength 0 the same to the last bit.

        Args:
            images: (N, H, W, 1) float32, 0-255 up to what earlier operations did: the range is
                clipped after the last one.
            draws: all that may be random; its numbers shrink with the strength, from 1 to 0. They
                come in the order in which they are asked for, so a new order gives new results.

        Returns:
            The same shape and dtype.
        """
        raise NotImplementedError
