"""Errors for callers from Python: they name arguments, not options."""

import functools
import inspect
import re
from collections.abc import Callable, Collection
from dataclasses import fields

from data_prep.errors import UserError
from data_prep.films.admission import Admission

__all__ = ["UserError", "names_arguments"]

_GOES_ON = (
    "alike|alone|also|and|are|as|before|belong|beside|can't|chooses|damaged|determines|doesn't|fits|"
    "for|gets|given|gives|has|have|if|in|is|isn't|its|joins|leaves|lies|makes|may|must|names|needs|"
    "of|or|out|received|says|shows|stays|takes|than|the|there|to|too|weighs|which|whose|with|writes"
)  # what an option that stands for itself is followed by; else its value follows
_VALUE = rf"(?!(?:{_GOES_ON})[.,:;)]*(?:\s|$))[^\s`'\"()]*[^\s`'\"().,:;]"
# The first branch is a command line to be copied: it stays as it is.
_NUMBER = re.compile(r"[-+.\de]*")  # or nothing
_OPTION = re.compile(
    r"cxrkeras [a-z]+ (?:[^`\n]*--[^`\n]*)"
    rf"|--([a-z][a-z0-9]*(?:-[a-z0-9]+)*)(?: ({_VALUE}))?"
)


def names_arguments(function: Callable) -> Callable:
    """Decorate a function so that its `UserError`s say `image_size=` for `--image-size`, and
    `head='lse'` for `--head lse`.

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
        if name not in arguments:
            return match[0]
        value = match[2] or ""
        return f"{name}={value if _NUMBER.fullmatch(value) else repr(value)}"

    return _OPTION.sub(renamed, text)
