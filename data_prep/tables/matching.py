"""Which file does a table's row mean? By relative path, file name or stem, never outside."""

import os
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from data_prep.errors import UserError
from data_prep.filenames import in_its_encoding, is_utf8
from data_prep.files import not_a_file

IMAGE_SUFFIXES = frozenset((".dcm", ".dicom", ".ima", ".png", ".jpg", ".jpeg", ".tif", ".tiff"))
_RASTER_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".tif", ".tiff"))
_PLAIN = re.compile(r"[^/:.][^/:]*(/[^/:.][^/:]*)*")  # neither absolute, nor with . or ..
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

    @cached_property
    def _unsuffixed(self) -> "_Names":
        """Only tables that leave suffixes out need it."""
        return _Names(self.keys, without_suffix)

    @cached_property
    def _not_utf8(self) -> "_Names":
        """What was unpacked with the names of another system."""
        odd = [key for key in self.keys if not is_utf8(key)]
        return _Names(odd, lambda key: without_suffix(in_its_encoding(key)))

    def _walk(self) -> None:
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            below = os.path.relpath(folder, self.root).replace(os.sep, "/")
            front = "" if below == "." else f"{below}/"
            for name in files:
                if name.startswith(".") or not _is_image_name(name):
                    continue
                outside = self._leads_out(os.path.join(folder, name))
                (self.escapes.add if outside else self.keys.append)(front + name)
        self.keys.sort()
        if not self.keys:
            raise UserError(f"There is no image or DICOM file below {self.root}. Check the folder.")

    def _leads_out(self, path: str) -> bool:
        """Text, not `Path`: an archive has hundreds of thousands of files."""
        return os.path.islink(path) and not Path(path).resolve().is_relative_to(self.root)

    def path(self, key: str) -> Path:
        """The file of a key."""
        return self.root / key

    def find(self, name: str, where: str) -> str | None:
        """The key of the file that a cell names.

        Tried in this order: the path relative to the folder; the same without leading folders
        (`CheXpert-v1.0/train/x.jpg` below `CheXpert-v1.0`); a file of that name in any folder; all
        that without suffix; a name that isn't UTF-8, read in its own encoding; the SOPInstanceUID
        of a DICOM file. Where both name folders, the folders must agree: `patient2/view1.jpg` is
        never `patient1/view1.jpg`.

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
        if _PLAIN.fullmatch(name):
            return name
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
        yield from self._unsuffixed.candidates(without_suffix(name))
        yield from self._not_utf8.candidates(without_suffix(name))
        if _UID.fullmatch(name):
            yield self._by_uid().get(name, [])

    def _by_uid(self) -> dict[str, list[str]]:
        """The files by SOPInstanceUID: read once, and only when a table needs it."""
        if self._uids is None:
            self._uids = {}
            for key in self.keys:
                uid = _of_dicom(self.root / key)
                if uid:  # of several copies the first: the search for duplicates sees the others
                    self._uids.setdefault(uid, [key])
        return self._uids


class NamedFiles:
    """Given files, found by what a table calls them: by path or any tail of it, with or without the
    suffix.

    Args:
        files: wherever they lie.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        keys = [path.absolute().as_posix() for path in files]
        self._numbers = {key: number for number, key in enumerate(keys)}
        self._named, self._unsuffixed = _Names(keys), _Names(keys, without_suffix)

    def find(self, name: str, where: str) -> list[int]:
        """The number of the file that a cell names, in a list; an empty one for none.

        Args:
            name: the cell.
            where: the cell's place, for an error, e.g. `data row 3`.

        Raises:
            UserError: the name means several files.
        """
        turned = name.replace("\\", "/").removeprefix("./")
        for names, wanted in ((self._named, turned), (self._unsuffixed, without_suffix(turned))):
            found = names.ending_in(wanted) if wanted else []
            if len(found) > 1:
                raise UserError(
                    f"{where} names an image that {len(found)} files answer to: give its path."
                )
            if found:
                return [self._numbers[found[0]]]
        return []


def _is_image_name(name: str) -> bool:
    suffix = os.path.splitext(name)[1].lower()
    # A UID used as a file name ends in digits: `1.2.276.0.7230010.3` has no suffix in that sense.
    return suffix in IMAGE_SUFFIXES or not suffix or suffix[1:].isdigit()


def without_suffix(key: str) -> str:
    """A name without the suffix of an image, as tables often write it."""
    path = PurePosixPath(key)
    return path.with_suffix("").as_posix() if path.suffix.lower() in IMAGE_SUFFIXES else key


def _tails(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


class _Names:
    """Keys by the whole of their (shortened) name, and by every tail of it.

    Sorted by their parts from the last to the first, names of one tail stand side by side: two
    lists serve, however deep the folders are.
    """

    def __init__(self, keys: list[str], shorten: Callable[[str], str] = str) -> None:
        named = sorted((_turned(shorten(key)), key) for key in keys)
        self._turned = [name for name, _ in named]
        self._keys = [key for _, key in named]

    def candidates(self, name: str) -> Iterator[list[str]]:
        for tail in _tails(name):
            yield self._equal(_turned(tail))
        yield self.ending_in(name)

    def ending_in(self, name: str) -> list[str]:
        """The keys that are the name, or end in it after a `/`."""
        turned = _turned(name)
        return self._equal(turned) + self._below(turned)

    def _equal(self, turned: str) -> list[str]:
        return self._keys[bisect_left(self._turned, turned) : bisect_right(self._turned, turned)]

    def _below(self, turned: str) -> list[str]:
        start = bisect_left(self._turned, turned + "/")
        return self._keys[start : bisect_left(self._turned, turned + "0")]  # "0" follows "/"


def _turned(name: str) -> str:
    return "/".join(reversed(name.split("/")))


def _of_dicom(path: Path) -> str | None:
    if path.suffix.lower() in _RASTER_SUFFIXES or not_a_file(path):
        return None
    from data_prep.films.dicom import sop_uid

    return sop_uid(path)
