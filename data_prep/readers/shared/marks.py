"""By which files an archive's folder is known."""

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path

_BEGINNING = 65_536  # bytes in which the text of a mark must stand


def marks_in(root: Path, marks: Mapping[str, str]) -> list[str]:
    """Which marks of an archive lie in a folder, or else in those directly below it.

    Args:
        root: the folder.
        marks: as `Reader.marks` has them.

    Returns:
        The files or folders, relative to `root`, sorted.
    """
    for depth in ("", "*/"):
        found = {
            path.relative_to(root).as_posix()
            for pattern, text in marks.items()
            for path in root.glob(depth + pattern)
            if not text or text in _beginning(path)
        }
        if found:
            return sorted(found)
    return []


def _beginning(path: Path) -> str:
    """The first lines of a file, gzipped or not; "" where it can't be read."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            return file.read(_BEGINNING).decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error):
        return ""
