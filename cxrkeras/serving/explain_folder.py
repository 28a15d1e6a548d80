"""The folder of an explanation: what it is called inside, and what may be replaced in it."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from data_prep.errors import UserError
from data_prep.files import atomic_write_json, read_json

MARK = "explained.json"
_FOLDERS = ("overlays", "sheets", "maps")
_TABLES = (
    "explained.csv",
    "boxes.csv",
    "rejected.csv",
    "randomisation.csv",
    *(f"localisation.{kind}" for kind in ("csv", "json", "txt")),
)


def check_out(out: Path, *, overwrite: bool) -> None:
    """Check that results may be written into a folder; nothing is changed.

    Raises:
        UserError: it holds something else, or an earlier explanation that isn't to be replaced.
    """
    others = out.is_dir() and any(not path.name.startswith(".") for path in out.iterdir())
    earlier = (out / MARK).is_file()
    if (out.exists() and not out.is_dir()) or (others and not earlier):
        raise UserError(
            "--out is a new or empty folder. "
            f"Received: {out}, which holds something else. Give another folder."
        )
    if earlier and not overwrite:
        raise UserError(
            f"--out {out} holds an earlier explanation. Give another folder, or --overwrite."
        )


def begin(out: Path, about: dict) -> None:
    """Make the folder, without what an earlier explanation wrote into it; other files stay.

    Args:
        out: the folder, checked.
        about: what `explained.json` is to hold, `names` and `labels` among it.

    Raises:
        UserError: it can't be written.
    """
    try:
        for path in _written(out):
            path.unlink(missing_ok=True)
        for name in _FOLDERS:
            with suppress(OSError):  # not empty: somebody's own files
                (out / name).rmdir()
        atomic_write_json(out / MARK, about)
    except OSError as error:
        raise UserError(f"--out {out} can't be written: {error.strerror}.") from error


def _written(out: Path) -> Iterator[Path]:
    """What an earlier explanation may have written, by its own account."""
    try:
        about = read_json(out / MARK)
        names = [Path(name).name for name in about["names"]]  # nothing outside this folder
        labels = list(about["labels"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    yield from (out / table for table in _TABLES)
    for name in names:
        yield out / "maps" / f"{name}.npy"
        yield out / "sheets" / f"{name}.png"
        yield from (out / "overlays" / overlay_name(name, label) for label in labels)


def unique_names(files: Sequence[Path]) -> list[str]:
    """A name for each file's results: its own without the ending, numbered where two are alike."""
    seen: dict[str, int] = {}
    names = []
    for file in files:
        stem = _clean(file.stem) or "film"
        seen[stem.casefold()] = count = seen.get(stem.casefold(), 0) + 1
        names.append(stem if count == 1 else f"{stem}~{count}")
    return names


def _clean(text: str) -> str:
    return re.sub(r"[^\w.\-]+", "_", text).strip("._")[:100]


def overlay_name(name: str, label: str) -> str:
    """The file of one label's map over one film."""
    return f"{name}-{_clean(label) or 'label'}.png"
