"""Errors for callers from Python: they name arguments, not options."""

import functools
import inspect
import re
from collections.abc import Callable, Collection
from dataclasses import fields

from data_prep.errors import UserError
from data_prep.films.admission import Admission

__all__ = ["UserError", "names_arguments"]

# The first branch is a command line to be copied: it stays as it is.
_OPTION = re.compile(r"cxrkeras [a-z]+ (?:[^`\n]*--[^`\n]*)|--([a-z][a-z0-9]*(?:-[a-z0-9]+)*)")


def names_arguments(function: Callable) -> Callable:
    """Decorate a function so that its `UserError`s say `image_size=` for `--image-size`.

    Only options that are arguments of the function are renamed. The error's type is kept.
    """
    known = set(inspect.signature(function).parameters)
    if "admission" in known:
        known |= {field.name for field in fields(Admission)}

    @functools.wraps(function)
    def call(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except UserError as error:
            raise type(error)(in_arguments(str(error), known)) from error

    return call


def in_arguments(text: str, arguments: Collection[str]) -> str:
    """A text with those options that are arguments named as arguments."""

    def renamed(match: re.Match) -> str:
        name = (match[1] or "").replace("-", "_")
        return f"{name}=" if name in arguments else match[0]

    return _OPTION.sub(renamed, text)
