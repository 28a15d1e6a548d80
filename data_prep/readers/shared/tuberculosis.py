"""The two collections of the National Library of Medicine: films, readings and masks by name.

`CHNCXR_0001_0.png` is case 1 of Shenzhen, without tuberculosis; `MCUCXR_0108_1.png` is one of
Montgomery, with it. ClinicalReadings holds a text for each film, with sex and age among free words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.errors import UserError
from data_prep.readers.shared.archive import ROLES, ArchiveTable, archive_source, located
from data_prep.readers.shared.example import write_film
from data_prep.readers.shared.places import boxes_of_mask, with_boxes, without_boxes
from data_prep.readers.shared.records import Box, Source
from data_prep.tables.matching import FileIndex
from data_prep.tables.textfile import read_text

if TYPE_CHECKING:
    import numpy as np

LABEL, LUNG = "Tuberculosis", "Lung"
SPECK = 0.01  # of a mask: smaller parts are stray marks, which these masks have
_SEX = re.compile(r"\b(female|male)\b|\bsex\s*:?\s*([fm])\b", re.IGNORECASE)
_AGE = re.compile(r"\b(\d{1,3})\s*(y|yrs?|years?|m|months?|d|days?)\b(?!\s*\d)", re.IGNORECASE)
_HEAD = 3  # lines of a reading that may tell sex and age


@dataclass(frozen=True)
class Collection:
    """One of the two.

    Attributes:
        title: what it is called.
        prefix: of its films' names.
        films: how many there are.
    """

    title: str
    prefix: str
    films: int

    @property
    def marks(self) -> dict[str, str]:
        """As `Reader.marks`."""
        return {f"CXR_png/{self.prefix}_*.png": "", f"{self.prefix}_*.png": ""}

    def names(self, folder: Path) -> list[str]:
        """The films of a folder."""
        name = re.compile(rf"{self.prefix}_\d+_[01]\.png", re.IGNORECASE)
        return sorted(path.name for path in folder.iterdir() if name.fullmatch(path.name))


def collection_source(
    of: Collection, raw: Path, name: str, citation: str, *, lungs: bool = True
) -> Source:
    """Read one of the two.

    Args:
        of: which.
        raw: its folder, or the one that contains it.
        name: the dataset's name.
        citation: what to cite.
        lungs: whether masks of the lungs become boxes.

    Raises:
        UserError: none of its films is there.
    """
    folder = _films_in(of, raw)
    beside = folder.parent if folder.name.casefold() == "cxr_png" else folder
    films = of.names(folder)
    source = archive_source(
        _table(of, films, beside / "ClinicalReadings"),
        FileIndex(folder),
        name=name,
        origin=of.title,
        citation=citation,
        others=False,
    )
    if not lungs:
        return without_boxes(source, "--no-lungs")
    masks = _masks(films, folder, beside)
    if not masks:
        return without_boxes(source, "no folder of masks is beside the films")
    boxes = [box for film, paths in masks.items() for path in paths for box in _lungs(film, path)]
    return with_boxes(source, boxes, f"the lungs' masks of {len(masks):,} films")


def _films_in(of: Collection, raw: Path) -> Path:
    found = located(raw, tuple(of.marks))
    found = [path.parent for path in found if of.names(path.parent)]
    if not found:
        raise UserError(
            f"There is no film like {of.prefix}_0001_0.png in {raw} or its CXR_png. Give the "
            f"folder of {of.title} that holds CXR_png."
        )
    return next((folder for folder in found if folder.name.casefold() == "cxr_png"), found[0])


def _table(of: Collection, films: list[str], readings: Path) -> ArchiveTable:
    import pandas as pd

    rows, lacking = [], 0
    for film in films:
        case, _, code = film.rpartition(".")[0].rpartition("_")
        text = readings / f"{case}_{code}.txt"
        sex, age = _sex_and_age(read_text(text)) if text.is_file() else ("", "")
        lacking += not text.is_file()
        rows.append({"image": film, "patient": case, "view": "PA", "sex": sex, "age": age})
        rows[-1][LABEL] = code
    frame = pd.DataFrame(rows).reindex(columns=[*ROLES, LABEL], fill_value="")
    notes = [f"{of.title}: {len(films):,} of the collection's {of.films} films are here"]
    if lacking:
        notes.append(f"sex and age: unknown of {lacking:,} films (no ClinicalReadings/NAME.txt)")
    return ArchiveTable(frame, (LABEL,), tuple(notes))


def _sex_and_age(text: str) -> tuple[str, str]:
    """What the first lines of a reading say, in the words that tables use."""
    head = "\n".join(text.splitlines()[:_HEAD])
    sex, age = _SEX.search(head), _AGE.search(head)
    years = f"{age[1]}{age[2][0]}" if age else ""
    return (sex[1] or sex[2]) if sex else "", years


def _masks(films: list[str], folder: Path, root: Path) -> dict[str, list[Path]]:
    """Film -> its masks: `leftMask/NAME.png` and `rightMask/NAME.png`, or `mask/NAME_mask.png`."""
    of_stem = {film.rpartition(".")[0].casefold(): film for film in films}
    found: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*.png")):
        below = [part.casefold() for part in path.relative_to(root).parts[:-1]]
        masks = any("mask" in part for part in below) and "annotations" not in below
        film = of_stem.get(path.stem.casefold().removesuffix("_mask"))
        if masks and film and path.parent != folder:
            found.setdefault(film, []).append(path)
    return found


def _lungs(film: str, path: Path) -> Iterator[Box]:
    yield from boxes_of_mask(_mask(path), film, LUNG, least=SPECK)


def _mask(path: Path) -> np.ndarray:
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("L")) > 127
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise UserError(
            f"The mask {path.name} can't be read. Download it again, or take no masks (--no-lungs)."
        ) from None


def write_example(of: Collection, folder: Path, masks: tuple[str, ...]) -> None:
    """Write three films with their readings, and a mask for the first in each of some folders.

    Args:
        of: the collection.
        folder: an empty folder.
        masks: places of masks, e.g. `mask/{}_mask.png`, one per lung or one of both.
    """
    import numpy as np
    from PIL import Image

    said = ("Patient's Sex: F\nPatient's Age: 027Y\nnormal", "male 4 months\nTB", "Female, 61yrs")
    for number, words in enumerate(said):
        stem = f"{of.prefix}_{number + 1:04d}_{number % 2}"
        write_film(folder / "CXR_png" / f"{stem}.png", number)
        (folder / "ClinicalReadings").mkdir(exist_ok=True)
        (folder / "ClinicalReadings" / f"{stem}.txt").write_text(words)
        for place, mask in enumerate(masks if number == 0 else ()):
            drawn = np.zeros((64, 64), np.uint8)
            drawn[12:52, 36:58] = 255 * (place == 0 or len(masks) == 1)
            drawn[12:52, 6:28] = 255 * (place == 1 or len(masks) == 1)
            path = folder / mask.format(stem)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn).save(path)
