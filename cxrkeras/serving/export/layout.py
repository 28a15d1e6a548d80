"""Where exports lie: `DIR/NAME/VERSION` for TensorFlow Serving, other formats in folders beside."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import UserError

FORMATS = {"onnx": "onnx", "litert": "litert", "hub": "hub", "saved-model": "."}
"""Each format's folder below `NAME`, in the order of publishing: what a server watches, last."""


def check_name(name: str) -> str:
    """The name of a served model: a part of a path, and of a URL.

    Raises:
        UserError: for another.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", name):
        raise UserError(
            "A served model's name consists of letters, digits, '_', '-' and '.', beginning with "
            f"a letter. Received: {name!r}. Give another --name."
        )
    return name


def next_version(home: Path) -> int:
    """One more than the highest version there is in any format."""
    folders = [path for place in FORMATS.values() for path in (home / place).glob("[0-9]*")]
    return 1 + max((int(path.name) for path in folders if path.name.isdigit()), default=0)


def versions(home: Path) -> list[int]:
    """The SavedModel's versions below `DIR/NAME`, rising."""
    return sorted(int(p.parent.name) for p in home.glob("[0-9]*/saved_model.pb"))


def earlier(home: Path) -> list[str]:
    """The versions that are there, as folders below `home`, e.g. `1/` and `onnx/1/`."""
    return [
        f"{path.relative_to(home).as_posix()}/"
        for place in reversed(FORMATS.values())
        for path in sorted((home / place).glob("[0-9]*"), key=lambda path: path.name.zfill(9))
        if path.name.isdigit()
    ]


@contextmanager
def staging(home: Path) -> Iterator[Path]:
    """A folder beside the versions, under a name that a server doesn't take for one; removed."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        folder = home / f".export.{os.getpid()}"
        folder.mkdir()
    except OSError as error:
        raise UserError(f"--out {home} can't be written: {error.strerror}.") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not any(home.iterdir()):
            home.rmdir()


def publish(staged: Path, home: Path, version: int, formats: list[str]) -> list[Path]:
    """Move finished formats from `staged/FORMAT` to their places, each in one step.

    Returns:
        The folders.
    """
    places = []
    for name, place in FORMATS.items():
        if name in formats:
            target = home / place / str(version)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(staged / name, target)
            places.append(target)
    return places
