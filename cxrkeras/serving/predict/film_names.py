"""Names for pictures and maps of films: a DICOM file's own name may be a patient's."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from data_prep.dataset.identity import keyed_hash, load_key
from data_prep.errors import RejectedFile
from data_prep.films.dicom import sop_uid
from data_prep.films.film import is_dicom

_LONGEST = 100  # bytes


def unique_names(files: Sequence[Path], key_file: Path | None = None) -> list[str]:
    """A name for each file's results, numbered where two are alike.

    A DICOM film has the name that `cxrkeras prep` gives it, the keyed hash of its SOPInstanceUID
    (of its file name where it has none); any other file its own without the ending.

    Args:
        files: the films.
        key_file: of the secret key, needed for DICOM only; see `identity.load_key`.

    Raises:
        UserError: the key can't be read or made.
    """
    key = cache(lambda: load_key(key_file))
    seen: dict[str, int] = {}
    names = []
    for file in files:
        stem = pseudonym(file, key()) if _is_dicom(file) else clean(file.stem) or "film"
        seen[stem.casefold()] = count = seen.get(stem.casefold(), 0) + 1
        names.append(stem if count == 1 else f"{stem}~{count}")
    return names


def hidden(file: Path, name: str) -> bool:
    """Whether the name that `unique_names` gives a file isn't its own."""
    return name.partition("~")[0] != (clean(file.stem) or "film")


def pseudonym(file: Path, key: bytes) -> str:
    """As `data_prep.dataset.publish` names the image of a DICOM file."""
    uid = sop_uid(file)
    return keyed_hash(key, "sop", uid) if uid else keyed_hash(key, "file", file.name)


def _is_dicom(file: Path) -> bool:
    try:
        return file.is_file() and is_dicom(file)
    except RejectedFile:
        return False  # reading it will give the reason


def clean(text: str) -> str:
    """The text as a part of a file name, whose bytes a system bounds: two and an ending fit."""
    plain = re.sub(r"[^\w.\-]+", "_", text).strip("._")
    return plain.encode()[:_LONGEST].decode(errors="ignore")
