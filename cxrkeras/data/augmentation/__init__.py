"""Which random changes training images go through: one preset per file, made of operations."""

from cxrkeras.data.augmentation.operations import Operation
from cxrkeras.registry import Part


class Preset(Part):
    """Operations in their order. Most presets are made by `shared.mixture.mixture`."""

    def operations(self) -> tuple[Operation, ...]:
        """All that belong to it, as its options have them."""
        raise NotImplementedError

    def active(self) -> tuple[Operation, ...]:
        """Those that change anything; where there is none, no layer is needed."""
        return tuple(operation for operation in self.operations() if not operation.neutral())
