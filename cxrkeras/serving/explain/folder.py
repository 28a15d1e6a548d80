"""The folder of an explanation: what it is called inside, and what may be replaced in it."""

from collections.abc import Iterator
from pathlib import Path

from cxrkeras.serving.predict.film_names import clean
from data_prep.errors import UserError
from data_prep.files import atomic_write_json, read_json
from data_prep.outputs import remove

MARK = "explained.json"
_FOLDERS = ("overlays", "sheets", "maps", "dicom")
_TABLES = (
    "explained.csv",
    "boxes.csv",
    "rejected.csv",
    "randomisation.csv",
    *(f"localisation.{kind}" for kind in ("csv", "json", "txt")),
)


def is_explanation(out: Path) -> bool:
    """Whether `begin` has written into a folder."""
    return (out / MARK).is_file()


def begin(out: Path, about: dict) -> None:
    """Make the folder, without what an earlier explanation wrote into it; other files stay.

    Args:
        out: the folder, checked.
        about: what `explained.json` is to hold, `names` and `labels` among it.

    Raises:
        UserError: it can't be written.
    """
    try:
        remove(_written(out), (out / name for name in _FOLDERS))
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
        yield from (out / "dicom" / overlay_name(name, label, ".dcm") for label in labels)


def overlay_name(name: str, label: str, ending: str = ".png") -> str:
    """The file of one label's map over one film."""
    return f"{name}-{clean(label) or 'label'}{ending}"
