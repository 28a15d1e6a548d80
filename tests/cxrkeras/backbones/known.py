"""The tests' own backbones, put among the registry's as an installed package's would be."""

from cxrkeras.registry import BACKBONES

PLACES = BACKBONES._places
"""{name: module} of the parts that are files."""


def add(name: str, patch=None) -> None:
    """Add the backbone in the file NAME.py beside this one, for good or until `patch` is undone."""
    module = f"{__package__}.{name}"
    if patch:
        patch.setitem(PLACES, name, module)
    else:
        PLACES[name] = module
