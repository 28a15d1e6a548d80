"""A preset made of operations, whose options become its own."""

from typing import Annotated, ClassVar

from pydantic import create_model

from cxrkeras.data.augmentation import Preset
from cxrkeras.data.augmentation.operations import Operation
from cxrkeras.registry import option


class Mixture(Preset):
    """Operations in a fixed order; all their options are options of the preset.

    Attributes:
        kinds: the operations' classes.
    """

    kinds: ClassVar[tuple[type[Operation], ...]] = ()

    def operations(self) -> tuple[Operation, ...]:
        """One operation of each kind, with the preset's values."""
        return tuple(
            kind(**{name: getattr(self, name) for name in kind.model_fields}) for kind in self.kinds
        )


def mixture(module: str, *operations: Operation) -> type[Preset]:
    """Make the class `Part` of a preset's file.

    Args:
        module: the file's `__name__`.
        *operations: in order. Their options become the preset's, with the values that they have
            here as defaults; no two operations may share an option's name.
    """
    fields: dict = {}
    for operation in operations:
        for name, field in type(operation).model_fields.items():
            if name in fields:
                raise ValueError(f"{module}: two operations have an option {name}")
            # The whole type, with its bounds.
            kind = Annotated[(field.annotation, *field.metadata)] if field.metadata else None
            default = option(getattr(operation, name), field.description or "")
            fields[name] = (kind or field.annotation, default)
    made = create_model("Part", __base__=Mixture, __module__=module, **fields)
    made.kinds = tuple(map(type, operations))
    return made
