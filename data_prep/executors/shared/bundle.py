"""Folders that another machine doesn't see: their files as one archive, there and back."""

import io
import tarfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

from data_prep.files import atomic_write_bytes

State = dict[str, tuple[int, int]]
"""{file: (bytes, time)}."""


def pack(folder: Path, files: Iterable[str]) -> bytes:
    """An archive of some files of a folder, the oldest first: the last written says it's whole."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(files, key=lambda name: (folder / name).stat().st_mtime_ns):
            archive.add(folder / name, name, recursive=False)
    return buffer.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Write an archive's files into a folder in their order, each in one step.

    Raises:
        ValueError: one would lie outside.
    """
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            place = folder / member.name
            if not place.resolve().is_relative_to(folder.resolve()):
                raise ValueError("a file outside the folder")
            atomic_write_bytes(place, archive.extractfile(member).read())


def needed(folder: Path, patterns: Iterable[str]) -> list[str]:
    """The files that patterns mean in a folder, but for those that a killed writer left."""
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return [path.relative_to(folder).as_posix() for path in found if path.name[0] != "."]


def state(folder: Path) -> State:
    """What is in a folder now."""
    found = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # of another process, which has just given it its name
            facts = path.stat()
            if S_ISREG(facts.st_mode):
                found[path.relative_to(folder).as_posix()] = (facts.st_size, facts.st_mtime_ns)
    return found


def changed(folder: Path, before: State) -> list[str]:
    """The files that are new or other since then."""
    now = state(folder)
    return [n for n, facts in now.items() if before.get(n) != facts and Path(n).name[0] != "."]
