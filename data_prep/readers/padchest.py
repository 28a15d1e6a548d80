"""PadChest of Hospital San Juan, Alicante: 160,861 films of 67,625 patients.

ROOT holds PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv (gzipped or not) and the 16-bit
PNGs, in folders 0 to 54 or in one; a part of them will do. Patient and study numbers are the
archive's own pseudonyms and stay. Age is the year of the study less that of birth.

The labels are the archive's findings that occur in the table, whatever their spelling there; a
film with a list of findings has 0 for all others, and `normal` is the all-zero row. Films with the
entry `exclude` are refused; those that name no finding and aren't called normal (`unchanged`
alone, or nothing) are left out and counted. A radiologist read 39,053 films; a network labelled
the others from their reports: --read-by physician takes the former alone.

A film of `laminar atelectasis` alone has 0 for `atelectasis`, as in the table. To learn from it
beside other archives give --findings ours, which makes it an Atelectasis too.

Without --views all, films of the ribs (COSTAL) and those with the projection EXCLUDE are left out.

Download: https://bimcv.cipf.es/bimcv-projects/padchest/
Terms: research only, under BIMCV's agreement; the films may not be passed on

Source: Bustos A, Pertusa A, Salinas JM, de la Iglesia-Vayá M. PadChest: A large chest x-ray image
dataset with multi-label annotated reports. Medical Image Analysis 66, 101797, 2020.

Examples:
  cxrkeras prep padchest BIMCV-PadChest --out data/padchest --findings ours
  cxrkeras prep padchest BIMCV-PadChest --out data/read --read-by physician --least 50
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self

from data_prep.errors import UserError
from data_prep.readers import VIEWS, Reader
from data_prep.readers.shared.archive import ArchiveTable, archive_source, located, with_views
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.padchest_names import EXCLUDE, FINDINGS, LABELS, NO_FINDINGS, NORMAL
from data_prep.readers.shared.records import Source
from data_prep.registry import option
from data_prep.tables.large import read_columns
from data_prep.tables.matching import FileIndex

if TYPE_CHECKING:
    import pandas as pd

_TABLE = "PADCHEST_chest_x_ray_images_labels*.csv"
_COLUMNS = ("ImageID", "PatientID", "Projection", "MethodLabel", "Labels")
_OTHERS = ("StudyID", "StudyDate_DICOM", "PatientBirth", "PatientSex_DICOM")
_NO_VIEWS = ("COSTAL", "EXCLUDE")
_EXCLUDED = f"the archive's own label: {EXCLUDE}"
_KNOWN = {name.casefold(): label for name, label in LABELS.items()}
_KNOWN |= {name: name for name in NO_FINDINGS}


class Part(Reader):
    """The labels are the findings of `padchest_names` that occur, in order, then others."""

    findings: ClassVar[Mapping[str, str]] = LABELS | dict.fromkeys(NO_FINDINGS, "")
    marks: ClassVar[Mapping[str, str]] = {_TABLE: "ImageID", f"{_TABLE}.gz": "ImageID"}

    table: Path | None = option(None, "[default: PADCHEST_chest_x_ray_images_labels*.csv in ROOT]")
    read_by: Literal["all", "physician"] = option(
        "all", "Whose labels: everybody's, or only those of films that a radiologist labelled."
    )
    least: int = option(1, "Leave out findings that fewer films of the table have.", ge=1)
    views: Literal["frontal", "lateral", "all"] = option("frontal", VIEWS)

    def read(self, raw: Path, name: str) -> Source:
        """Read the archive, see `Reader.read`."""
        path = self.table or _table_in(raw)
        table, excluded = padchest_table(path, self.read_by == "physician", self.least)
        kept = with_views(table, self.views, never=_NO_VIEWS)
        source = archive_source(
            table,
            FileIndex(raw),
            name=name,
            origin=f"PadChest, {path.name}",
            citation=self.citation_said(),
            keep=kept.rows,
        )
        known = {record.key for record in source.records}
        wanted = {image for image, keep in zip(excluded, kept.rows, strict=True) if image and keep}
        here = _here(wanted - known, FileIndex(raw))
        rejected = source.rejected + [(image, _EXCLUDED) for image in here]
        return kept.said(replace(source, rejected=rejected))

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """A study of two views, a normal film and one to exclude, see `Reader.example`."""
        rows = [("", *_COLUMNS, *_OTHERS)]
        labels = ["['pleural effusion', ' Nodule']"] * 2 + ["['normal']", "['exclude']"]
        for number, found in enumerate(labels):
            image = f"216_{number}.png"
            write_film(folder / str(number // 2) / image, number)
            about = (number // 2, ("PA", "L")[number % 2 * (number < 2)])
            rows.append(
                (number, image, *about, "Physician", found, number // 2, 20140915, 1930.0, "F")
            )
        write_table(folder / _TABLE.replace("*", "_160K"), rows)
        return folder, cls(views="all")


def _table_in(root: Path) -> Path:
    found = located(root, tuple(Part.marks))
    if not found:
        raise UserError(
            f"There is no {_TABLE} in {root}. Download it beside the images, or name the table "
            "with --table."
        )
    return found[-1]


def _here(images: Iterable[str], index: FileIndex) -> list[str]:
    return sorted(image for image in images if index.find(image, "The table"))


class PadChest(NamedTuple):
    """The archive's table, and the image of each row that is marked to be left out, or ""."""

    table: ArchiveTable
    excluded: list[str]


def padchest_table(path: Path, physician: bool = False, least: int = 1) -> PadChest:
    """Read the archive's table alone.

    Args:
        path: the table, gzipped or not.
        physician: only the rows whose labels a radiologist gave.
        least: how many films of the table a finding must have.

    Raises:
        UserError: it lacks a column, or a cell of labels isn't a list.
    """
    import pandas as pd

    frame = read_columns(path, _COLUMNS, _OTHERS)
    notes = [f"{path.name}: {len(frame):,} films of {frame['PatientID'].nunique():,} patients"]
    if physician:
        frame = frame[frame["MethodLabel"] == "Physician"].reset_index(drop=True)
        notes.append(f"labelled by a radiologist: {len(frame):,} films")
    cells = {cell: _names(cell, path) for cell in frame["Labels"].unique()}
    counts = Counter(frame["Labels"])
    positives: Counter[str] = Counter()
    for cell, names in cells.items():
        positives.update(dict.fromkeys(names, counts[cell]))
    unknown = sorted(set(positives) - set(FINDINGS) - set(NO_FINDINGS))
    labels = tuple(name for name in (*FINDINGS, *unknown) if positives[name] >= least)
    rare = sum(0 < positives[name] < least for name in (*FINDINGS, *unknown))
    if rare:
        notes.append(f"findings of fewer than {least} films: {rare} left out")
    coded = {cell: _codes(names, labels) for cell, names in cells.items()}
    codes = [coded[cell] for cell in frame["Labels"]]
    pairs = zip(frame["ImageID"], frame["Labels"], strict=True)
    excluded = [image if EXCLUDE in cells[cell] else "" for image, cell in pairs]
    said_nothing = codes.count(None) - sum(map(bool, excluded))
    notes.append(f"neither a finding nor normal in the table: {said_nothing:,} films left out")
    about = pd.DataFrame(
        {
            "image": frame["ImageID"],
            "patient": frame["PatientID"],
            "study": frame.get("StudyID", ""),
            "view": frame["Projection"],
            "sex": frame.get("PatientSex_DICOM", pd.Series("", frame.index)).replace("nan", ""),
            "age": _ages(frame),
            "split": "",
        }
    )
    return PadChest(ArchiveTable(about, labels, tuple(notes), codes), excluded)


def _names(cell: str, path: Path) -> frozenset[str]:
    """The findings of a cell such as `['normal', ' pleural effusion']`, as the archive spells them.

    A cell without a list (`nan`) names none.
    """
    if cell in ("", "nan", "None"):
        return frozenset()
    try:
        said = ast.literal_eval(cell)
        plain = [" ".join(name.split()) for name in said]
    except (ValueError, SyntaxError, TypeError, AttributeError):
        raise UserError(
            f"{path.name}: a cell of column 'Labels' isn't a list like ['nodule', 'kyphosis']. "
            "Download it again."
        ) from None
    return frozenset(_KNOWN.get(name.casefold(), name) for name in plain if name)


def _codes(names: frozenset[str], labels: tuple[str, ...]) -> tuple[str, ...] | None:
    """0 and 1; None where the cell says nothing of findings, or that the film is to be left out."""
    if EXCLUDE in names or not (names - set(NO_FINDINGS) or NORMAL in names):
        return None
    return tuple("1" if label in names else "0" for label in labels)


def _ages(frame: pd.DataFrame) -> pd.Series | str:
    import pandas as pd

    if "PatientBirth" not in frame or "StudyDate_DICOM" not in frame:
        return ""
    year = pd.to_numeric(frame["StudyDate_DICOM"].str[:4], errors="coerce")
    years = year - pd.to_numeric(frame["PatientBirth"], errors="coerce")
    return years.map(lambda age: "" if age != age else f"{age:.0f}")
