"""File names that may hold any bytes that a file system allows."""

import os
import unicodedata
from pathlib import Path

from data_prep.tables.textfile import encoding_of

_HIDDEN = ("Cc", "Cs", "Zl", "Zp")  # control characters, lone surrogates, line separators


def printable(name: str | Path) -> str:
    r"""A name in a form that any file or terminal can hold, on one line.

    Bytes that aren't UTF-8, control characters, and blanks at the ends are written as `\xe9`,
    `\n`, `\x20`; any other name stays as it is.
    """
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    if text.isprintable() and text == text.strip():
        return text
    ends = len(text) - len(text.lstrip()), len(text.rstrip())
    return "".join(
        _escaped(character)
        if unicodedata.category(character) in _HIDDEN or not ends[0] <= place < ends[1]
        else character
        for place, character in enumerate(text)
    )


def _escaped(character: str) -> str:
    escaped = character.encode("unicode_escape").decode()
    return escaped if escaped != character else f"\\x{ord(character):02x}"


def is_utf8(name: str) -> bool:
    """Whether a name's bytes are UTF-8."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def in_its_encoding(name: str) -> str:
    """What a name that isn't UTF-8 says in the encoding that its bytes look like, as in tables."""
    content = os.fsencode(name)
    return content.decode(encoding_of(content))
