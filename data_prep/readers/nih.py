"""ChestX-ray14 of the NIH Clinical Center: 112,120 films of 30,805 patients.

ROOT holds Data_Entry_2017.csv (either release) and the images: in images_001/images to
images_012/images, in one folder, or loose; a part of them will do. train_val_list.txt and
test_list.txt beside the table become the column `split`, BBox_List_2017.csv becomes boxes.csv in
pixels of the prepared images. Tables may be gzipped. Patient numbers are public and are kept.

The labels are the archive's 14, mined from reports; 'No Finding' is the all-zero row. Ages over 100
are errors of the first release: they are left blank and counted.

--adjudicated makes a separate evaluation set: Google's four findings, read by radiologists.
`cxrkeras evaluate` scores its 'Nodule or mass' against the higher of Nodule and Mass.

Download: https://nihcc.app.box.com/v/ChestXray-NIHCC
Terms: any use, with a link to the download, the NIH Clinical Center named, and the paper cited
Adjudicated labels: Majkowska et al., Radiology 2020

Source: Wang X, Peng Y, Lu L, Lu Z, Bagheri M, Summers RM. ChestX-ray8: Hospital-scale Chest X-ray
Database and Benchmarks on Weakly-Supervised Classification and Localization of Common Thorax
Diseases. CVPR 2017. Images: NIH Clinical Center, https://nihcc.app.box.com/v/ChestXray-NIHCC

Examples:
  cxrkeras prep nih ChestXray-NIHCC --out data/nih
  cxrkeras prep nih ChestXray-NIHCC --out data/nih-2k --limit 2000 --image-size 256
  cxrkeras prep nih ChestXray-NIHCC --out data/nih --exclude rotated.csv --exclude lateral.csv
  cxrkeras prep nih ChestXray-NIHCC --out data/nih-read --adjudicated four_findings.csv
"""

from __future__ import annotations

import csv
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, ClassVar, Self

from data_prep.errors import UserError
from data_prep.readers import Reader, named_alike
from data_prep.readers.shared.archive import ROLES, ArchiveTable, archive_source, located
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.places import with_boxes, without_boxes
from data_prep.readers.shared.records import Box, Source
from data_prep.registry import option
from data_prep.tables.columns import label_columns, named_column, usual_column
from data_prep.tables.matching import FileIndex
from data_prep.tables.table import YES_NO, code_of, findings_to_codes, read_table
from data_prep.tables.textfile import read_names, read_text
from data_prep.tables.vocabulary import NIH14, NIH15, canonical, nearest

if TYPE_CHECKING:
    import pandas as pd

ADJUDICATED = (
    "Adjudicated labels: Majkowska A, et al. Chest Radiograph Interpretation with Deep Learning "
    "Models. Radiology 2020"
)
SIDE = 1024  # of the archive's pictures, pixels: what its boxes are given in
_TABLES = ("Data_Entry_2017*.csv", "Data_Entry_2017*.csv.gz")
_LISTS = {"train_val": "train_val_list.txt", "test": "test_list.txt"}
_BOXES = "BBox_List_2017.csv"
_FINDINGS = "Finding Labels"
_COLUMNS = {
    "image": "image index",
    "patient": "patient id",
    "view": "view position",
    "sex": "patient gender|patient sex",
    "age": "patient age",
}


class Part(Reader):
    """Both releases of the table are read: the first (ages like `058Y`, a last comma) and v2020.

    The source has the labels `NIH14` with the codes 1 and 0 (or the adjudicated labels), the
    official lists as `split` (`train_val`, `test`), the boxes, and public patient numbers.
    """

    findings: ClassVar[Mapping[str, str]] = named_alike(NIH15)
    marks: ClassVar[Mapping[str, str]] = dict.fromkeys(_TABLES, _FINDINGS)

    table: Path | None = option(None, "[default: Data_Entry_2017*.csv in ROOT]")
    adjudicated: Path | None = option(
        None,
        "Table of labels on which readers agreed (YES, NO): prepare only the images that it names.",
    )

    def read(self, raw: Path, name: str) -> Source:
        """Read the archive, see `Reader.read`."""
        path = self.table or _table_in(raw)
        listed = {
            split: set(read_names(file)) for split, file in _beside(path, raw, _LISTS).items()
        }
        known = nih_table(path, listed)
        origin, citation = f"ChestX-ray14, {path.name}", self.citation_said()
        if self.adjudicated:
            known = adjudicated_table(self.adjudicated, known)
            origin, citation = f"{origin}, {self.adjudicated.name}", f"{citation}. {ADJUDICATED}"
        source = archive_source(
            known,
            FileIndex(raw),
            name=name,
            origin=origin,
            citation=citation,
            others=self.adjudicated is None,
        )
        if self.adjudicated:
            return source
        boxes = _beside(path, raw, {"boxes": _BOXES}).get("boxes")
        if boxes is None:
            return without_boxes(source, f"{_BOXES} isn't beside the table")
        return with_boxes(source, read_boxes(boxes), boxes.name)

    def next_step(self, out: Path) -> str:
        """Training on it, or for adjudicated labels scoring with it."""
        if self.adjudicated:
            labels = shlex.quote(str(out))
            return f"cxrkeras evaluate --predictions FILE --labels {labels} --out evaluation"
        return super().next_step(out)

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """Four films of two patients, one of whom is in the test list, see `Reader.example`."""
        rows = [("Image Index", _FINDINGS, "Patient ID", "Patient Age", "View Position")]
        for number in range(4):
            image = f"{number // 2:08d}_{number % 2:03d}.png"
            write_film(folder / f"images_{1 + number // 2:03d}" / "images" / image, number)
            rows.append((image, ("Nodule|Mass", "No Finding")[number % 2], number // 2, 50, "PA"))
        write_table(folder / "Data_Entry_2017_v2020.csv", rows)
        (folder / "train_val_list.txt").write_text("".join(f"{row[0]}\n" for row in rows[1:3]))
        (folder / "test_list.txt").write_text("".join(f"{row[0]}\n" for row in rows[3:]))
        box = (rows[1][0], "Mass", 512, 0, 256, 128)
        write_table(
            folder / _BOXES, [("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]"), box]
        )
        return folder, cls()


def _table_in(root: Path) -> Path:
    found = located(root, _TABLES)
    if not found:
        raise UserError(
            f"There is no Data_Entry_2017*.csv in {root}. Download it beside the images, or name "
            "the table with --table."
        )
    return found[-1]  # v2020 where both releases are there


def _beside(table: Path, root: Path, names: dict[str, str]) -> dict[str, Path]:
    """The archive's other files, by what they are: those beside the table or in the folder."""
    found = {}
    for what, name in names.items():
        places = [folder / (name + end) for folder in (table.parent, root) for end in ("", ".gz")]
        path = next((place for place in places if place.is_file()), None)
        if path:
            found[what] = path
    return found


def nih_table(path: Path, splits: dict[str, set[str]] | None = None) -> ArchiveTable:
    """Read the archive's table alone.

    Args:
        path: `Data_Entry_2017.csv` of either release, gzipped or not.
        splits: split -> the images of its official list.

    Returns:
        The table with the labels `NIH14`; `No Finding` is the all-zero row.

    Raises:
        UserError: it lacks a column, names an unknown finding, or the lists share an image.
    """
    import pandas as pd

    frame = read_table(path)
    for column in ("Image Index", _FINDINGS):
        named_column(frame, column, "of Data_Entry_2017.csv")
    columns = {role: usual_column(frame, names, set()) for role, names in _COLUMNS.items()}
    ours = {role: frame[column] for role, column in columns.items() if column}
    split, note = _splits(frame["Image Index"], splits or {})
    _, codes = findings_to_codes(frame[_FINDINGS], list(NIH14))
    about = pd.DataFrame({"study": "", **ours, "split": split}, index=frame.index)
    about = about.reindex(columns=list(ROLES), fill_value="")
    return ArchiveTable(
        pd.concat([about, codes], axis=1),
        NIH14,
        (f"{path.name}: {len(frame):,} images of {_patients(about):,} patients", note),
    )


def _patients(frame: pd.DataFrame) -> int:
    return frame["patient"].nunique()


def _splits(images: pd.Series, splits: dict[str, set[str]]) -> tuple[pd.Series, str]:
    if not splits:
        return images.map(lambda _: ""), (
            "official split: unknown (no train_val_list.txt and test_list.txt beside the table)"
        )
    both = set.intersection(*splits.values()) if len(splits) > 1 else set()
    if both:
        raise UserError(
            f"{len(both)} images stand in both official lists: download train_val_list.txt and "
            "test_list.txt again."
        )
    of = {image: split for split, names in splits.items() for image in names}
    column = images.map(lambda image: of.get(image, ""))
    counts = ", ".join(f"{split} {int((column == split).sum()):,}" for split in splits)
    return column, f"official split: {counts}"


def adjudicated_table(path: Path, archive: ArchiveTable) -> ArchiveTable:
    """The archive's rows that a table of agreed labels names, with those labels.

    Args:
        path: one row per image: its name, and columns of `YES` and `NO` (or codes).
        archive: the archive's table.

    Raises:
        UserError: it has no such column, or names no image of the archive.
    """
    import pandas as pd

    frame = read_table(path)
    image = usual_column(frame, "image index|image id|image|filename", set())
    if image is None:
        raise UserError(f"{path.name} has no column 'Image Index'. Name the images in one.")
    taken = {column for names in _COLUMNS.values() if (column := usual_column(frame, names, set()))}
    labels = label_columns(frame, taken | {image})
    if not labels:
        raise UserError(f"{path.name} has no column of YES and NO: it holds no adjudicated labels.")
    codes = pd.DataFrame({label: _said(frame[label], path) for label in labels})
    codes.index = pd.Index(frame[image])
    codes = codes[~codes.index.duplicated()]
    rows = archive.frame[archive.frame["image"].isin(codes.index)]
    if rows.empty:
        raise UserError(f"{path.name} names no image in the archive's table. Check the file.")
    codes = codes.loc[rows["image"]].set_axis(rows.index)
    about = rows.drop(columns=list(archive.labels))
    note = f"{path.name}: labels of {len(rows):,} images: {', '.join(labels)}"
    if unknown := len(frame) - len(rows):
        note += f" ({unknown:,} rows name no image of the archive)"
    return ArchiveTable(
        pd.concat([about, codes], axis=1).reset_index(drop=True),
        tuple(labels),
        (*archive.notes, note),
    )


def _said(values: pd.Series, path: Path) -> pd.Series:
    table = {value: YES_NO.get(value.casefold(), code_of(value)) for value in values.unique()}
    if None in table.values():
        raise UserError(
            f"{path.name}: column {values.name!r} holds values other than YES, NO, 1, 0, -1 and "
            "blank. Correct it."
        )
    return values.map(table)


def read_boxes(path: Path) -> list[Box]:
    """Read `BBox_List_2017.csv`.

    Its header has nine names (`Bbox [x`, `y`, `w`, `h]` and three blank ones) over rows of six
    values, and it spells Infiltration `Infiltrate`.

    Returns:
        The boxes, in the file's order; `key` is the image's name.

    Raises:
        UserError: a row isn't an image, a finding of `NIH14` and four numbers within the picture.
    """
    boxes = []
    for number, row in enumerate(csv.reader(read_text(path).splitlines()), start=1):
        if number > 1 and any(row):
            boxes.append(_box(row, f"{path.name}, line {number}"))
    return boxes


def _box(row: list[str], where: str) -> Box:
    try:
        image, finding, *sides = row[:6]
        x, y, width, height = (float(side) / SIDE for side in sides)
    except ValueError:
        raise UserError(f"{where} isn't an image, a finding and four numbers.") from None
    label = canonical(finding)
    if label not in NIH14:
        raise UserError(f"{where} has the finding {finding!r}. {nearest(finding, NIH14)}")
    if not (0 <= x <= x + width <= 1 and 0 <= y <= y + height <= 1):
        raise UserError(f"{where} has a box outside the {SIDE}x{SIDE} picture.")
    return Box(PurePosixPath(image.strip()).name, label, x, y, width, height)
