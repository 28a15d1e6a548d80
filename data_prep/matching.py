"""Which file does a table's row mean? By relative path, file name or stem, never outside."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pydicom
from pydicom.errors import InvalidDicomError

from data_prep.errors import UserError

IMAGE_SUFFIXES = frozenset((".dcm", ".dicom", ".ima", ".png", ".jpg", ".jpeg", ".tif", ".tiff"))
_RASTER_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".tif", ".tiff"))
_UID = re.compile(r"\d+(\.\d+){3,}")


class FileIndex:
    """The image files below a folder, found by what a table calls them.

    Files count as images by their suffix, or where they have none (as DICOM exports often do).

    Attributes:
        root: the folder, resolved.
        keys: every image's path relative to it, with `/`, sorted.
        escapes: likewise those that are links leading out of the folder (never read).
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"There is no folder {folder}. Give the folder that holds the images.")
        self.root = folder.resolve()
        self.keys: list[str] = []
        self.escapes: set[str] = set()
        self._walk()
        self._uids: dict[str, list[str]] | None = None
        self._named = _Names(self.keys)
        self._unsuffixed = _Names(self.keys, _without_suffix)

    def _walk(self) -> None:
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in files:
                path = Path(folder, name)
                if name.startswith(".") or not _is_image_name(name):
                    continue
                key = path.relative_to(self.root).as_posix()
                outside = path.is_symlink() and not path.resolve().is_relative_to(self.root)
                (self.escapes.add if outside else self.keys.append)(key)
        self.keys.sort()
        if not self.keys:
            raise UserError(f"There is no image or DICOM file below {self.root}. Check the folder.")

    def path(self, key: str) -> Path:
        """The file of a key."""
        return self.root / key

    def find(self, name: str, where: str) -> str | None:
        """The key of the file that a cell names.

        Tried in this order: the path relative to the folder; the same without leading folders
        (`CheXpert-v1.0/train/x.jpg` below `CheXpert-v1.0`); a file of that name in any folder; all
        that without suffix; the SOPInstanceUID of a DICOM file. Where both name folders, the
        folders must agree: `patient2/view1.jpg` is never `patient1/view1.jpg`.

        Args:
            name: the cell.
            where: the cell's place, for an error, e.g. `data row 3`.

        Returns:
            The key, or None where there is no such file.

        Raises:
            UserError: the name leads out of the folder, or means several files.
        """
        name = name.replace("\\", "/")
        relative = self._inside(name, where)
        for found in self._candidates(relative):
            if len(found) == 1:
                return found[0]
            if found:
                raise UserError(
                    f"{where} names an image that {len(found)} files answer to: give its path "
                    "relative to the image folder."
                )
        if relative in self.escapes:
            raise UserError(f"{where} names a link that leads out of the image folder: refused.")
        return None

    def _inside(self, name: str, where: str) -> str:
        path = PurePosixPath(name)
        if path.is_absolute() and path.is_relative_to(self.root.as_posix()):
            path = path.relative_to(self.root.as_posix())
        if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
            raise UserError(
                f"{where} names a path outside the image folder (absolute, or with '..'): refused. "
                "Give paths relative to --images."
            )
        return path.as_posix()

    def _candidates(self, name: str) -> Iterator[list[str]]:
        yield from self._named.candidates(name)
        yield from self._unsuffixed.candidates(_without_suffix(name))
        if _UID.fullmatch(name):
            yield self._by_uid().get(name, [])

    def _by_uid(self) -> dict[str, list[str]]:
        """The files by SOPInstanceUID: read once, and only when a table needs it."""
        if self._uids is None:
            self._uids = {}
            for key in self.keys:
                uid = _sop_uid(self.root / key)
                if uid:  # of several copies the first: the search for duplicates sees the others
                    self._uids.setdefault(uid, [key])
        return self._uids


def _is_image_name(name: str) -> bool:
    suffix = Path(name).suffix.lower()
    # A UID used as a file name ends in digits: `1.2.276.0.7230010.3` has no suffix in that sense.
    return suffix in IMAGE_SUFFIXES or not suffix or suffix[1:].isdigit()


def _without_suffix(key: str) -> str:
    path = PurePosixPath(key)
    return path.with_suffix("").as_posix() if path.suffix.lower() in IMAGE_SUFFIXES else key


def _tails(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


class _Names:
    """Keys by the whole of their (shortened) name, and by every tail of it."""

    def __init__(self, keys: list[str], shorten: Callable[[str], str] = str) -> None:
        self._whole: dict[str, list[str]] = {}
        self._by_tail: dict[str, list[str]] = {}
        for key in keys:
            name = shorten(key)
            self._whole.setdefault(name, []).append(key)
            for tail in _tails(name):
                self._by_tail.setdefault(tail, []).append(key)

    def candidates(self, name: str) -> Iterator[list[str]]:
        for tail in _tails(name):
            yield self._whole.get(tail, [])
        yield self._by_tail.get(name, [])


def _sop_uid(path: Path) -> str | None:
    if path.suffix.lower() in _RASTER_SUFFIXES:
        return None
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
    except (InvalidDicomError, OSError, ValueError, EOFError, KeyError, AttributeError):
        return None  # not DICOM, or broken: the preparation will say so
    return str(header.get("SOPInstanceUID", "")) or None
