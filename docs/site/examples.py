"""Docstrings here have one `Example:`, or a bare doctest; griffe knows `Examples:` only."""

import re
from typing import Any

import griffe


class OneExample(griffe.Extension):
    """Reads both as an example, so that a doctest is shown as code."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rename the section, or make one of the paragraph that begins with a prompt."""
        if not obj.docstring:
            return
        text = re.sub(r"^(\s*)Example:$", r"\1Examples:", obj.docstring.value, flags=re.M)
        obj.docstring.value = re.sub(
            r"^>>> .*(?:\n.+)*",
            lambda found: "Examples:\n" + re.sub(r"^", "    ", found[0], flags=re.M),
            text,
            flags=re.M,
        )
