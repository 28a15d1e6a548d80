"""Tests over every part of a kind, and parts with options to try them with."""

from collections.abc import Mapping
from typing import NamedTuple

import pytest

from cxrkeras.registry import KINDS, Part, Registry

PART = "part_id"
"""The parameter that names a part, in all these tests."""


class Id(NamedTuple):
    """A part's kind, by its place in `KINDS`, and its name."""

    kind: int
    name: str


def each(*kinds: Registry, slow=()) -> pytest.MarkDecorator:
    """Run a test over all parts of some kinds; those named in `slow` are marked so."""
    found = [
        pytest.param(
            Id(KINDS.index(kind), name),
            id=f"{kind.kind.replace(' ', '_')}-{name}",
            marks=[pytest.mark.slow] if name in slow else [],
        )
        for kind in kinds
        for name in kind.names()
    ]
    return pytest.mark.parametrize(PART, found)


def part_of(part_id: Id) -> tuple[Registry, str]:
    """The kind and the name."""
    return KINDS[part_id.kind], part_id.name


def made(part_id: Id, folder=None) -> Part:
    """The part with its default options, or those of its example where it has one.

    Args:
        part_id: which.
        folder: for a reader's example; empty.
    """
    kind, name = part_of(part_id)
    part = kind.load(name)
    needed = [option for option, field in part.model_fields.items() if field.is_required()]
    if needed and not getattr(part, "example", None):
        pytest.skip(f"it needs {needed[0]}, and has no example")
    example = getattr(part, "example", {})
    if isinstance(example, Mapping):
        return kind.of(part, example)
    return example(folder)[1]
