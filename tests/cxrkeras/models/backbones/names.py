"""Which backbones the tests go over: all that need no option."""

import pytest

from cxrkeras.models.backbones.families import FAMILY
from cxrkeras.registry import BACKBONES

_OPTIONS = {name: BACKBONES.load(name).model_fields.values() for name in BACKBONES.names()}
NAMES = tuple(
    name
    for name, options in _OPTIONS.items()
    if not any(option.is_required() for option in options)
)
APPLICATIONS = tuple(FAMILY.names())
QUICK = ("mobilenet_v3_small", "densenet121", "resnet50")
"""Built in the quick tests; the others take minutes together."""


def marked(names) -> list:
    """The names, all but the quick ones marked as slow."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]
