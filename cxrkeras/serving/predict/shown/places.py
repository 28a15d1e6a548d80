"""Paths for a terminal: what they have in common is said once."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep.filenames import printable


class Places:
    """The paths of some files, in short.

    Args:
        paths: of N files.

    Attributes:
        names: N, below the common folder where a path lies in it.
    """

    def __init__(self, paths: Sequence[Path]):
        self._folder = _common(paths)
        self.names = [printable(_within(path, self._folder)) for path in paths]

    def said(self) -> Iterator[str]:
        """`In films/2024:`; nothing where paths have nothing in common."""
        if self._folder is not None:
            yield f"In {printable(self._folder)}:"


def _common(paths: Sequence[Path]) -> Path | None:
    """The folder of all absolute paths, or of all others, whichever are more; None for none."""
    absolute = [path for path in paths if path.is_absolute()]
    others = [path for path in paths if not path.is_absolute()]
    kind = max(absolute, others, key=len)
    if len(kind) < 2:
        return None
    folder = Path(os.path.commonpath([path.parent for path in kind]))
    return folder if folder.name else None  # "/" and "." shorten nothing


def _within(path: Path, folder: Path | None) -> Path:
    return path.relative_to(folder) if folder and path.is_relative_to(folder) else path
