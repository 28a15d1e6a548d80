"""By which files an archive's folder is known."""

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path

from data_prep.errors import UserError

_BEGINNING = 65_536  # bytes in which the text of a mark must stand


def check_folder(root: Path) -> None:
    """Refuse an archive's folder that isn't there."""
    if not root.is_dir():
        raise UserError(f"There is no folder {root}. Give the folder that holds the archive.")


def marks_in(root: Path, marks: Mapping[str, str]) -> list[str]:
    """Which marks of an archive lie in a folder, or else in those directly below it.

    Args:
        root: the folder.
        marks: as `Reader.marks` has them.

    Returns:
        The files or folders, relative to `root`, sorted.

    Raises:
        UserError: there is no such folder.
    """
    check_folder(root)
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
