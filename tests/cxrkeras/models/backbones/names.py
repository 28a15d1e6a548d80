"""Our own backbones that need no option, and those of keras.applications among them."""

from cxrkeras.models.backbones.families import FAMILY
from cxrkeras.registry import BACKBONES

APPLICATIONS = tuple(FAMILY.names())


def _ours(name: str) -> bool:
    options = BACKBONES.load(name).model_fields.values()
    return not (BACKBONES.about(name).package or any(option.is_required() for option in options))


NAMES = tuple(filter(_ours, BACKBONES.names()))
