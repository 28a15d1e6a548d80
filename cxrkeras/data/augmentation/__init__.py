"""Which random changes training images go through: one preset per file, made of operations."""

from cxrkeras.data.augmentation.operations import Operation
from cxrkeras.registry import Part


class Preset(Part):
    """A preset: operations in order. Most are made by `shared.mixture.mixture`."""

    def operations(self) -> tuple[Operation, ...]:
        """All of its operations, set up by its options."""
        raise NotImplementedError

    def active(self) -> tuple[Operation, ...]:
        """The operations that change anything; without any, no layer is needed."""
        return tuple(operation for operation in self.operations() if not operation.neutral())

    def within(self, share: float) -> "Preset":
        """The same for a network that sees only the middle of each image.

        Operations that have an option `window` are told, unless it was chosen.

        Args:
            share: the side of what is seen, as a share of the image's.
        """
        known = type(self).model_fields.keys() - self.model_fields_set
        return self.model_copy(update={"window": share}) if "window" in known else self
