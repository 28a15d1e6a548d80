"""VinDr-CXR: 18,000 films of two hospitals in Hanoi, with boxes, each read by 3 or 5 radiologists.

ROOT is PhysioNet's release (annotations/annotations_train.csv, image_labels_train.csv and the same
for test; DICOM files in train and test) or Kaggle's (train.csv; DICOM files in train), or the
folder that contains it; a part of the images will do. Tables may be gzipped. The parts become
train and test in the column `split`.

Three radiologists read each film to train on; --readers says how many of them must assert a
finding. Boxes of asserted findings become boxes.csv, each reader's own. The labels are the
release's: 27 of PhysioNet, with the diagnoses (22, where image_labels_*.csv is missing), Kaggle's
14. 'No finding' is the all-zero row. The films to test on have one reading, agreed by five.

Kaggle's table was checked as it is; PhysioNet's could only be read from its documentation.

Download: https://physionet.org/content/vindr-cxr/1.0.0/
Terms: PhysioNet's credentialed health data licence 1.5.0, or the rules of Kaggle's competition

Source: Nguyen HQ, Lam K, Le LT, et al. VinDr-CXR: An open dataset of chest X-rays with
radiologist's annotations. Scientific Data 9:429, 2022. https://doi.org/10.13026/3akn-b287

Examples:
  cxrkeras prep vindr vindr-cxr/1.0.0 --out data/vindr
  cxrkeras prep vindr vinbigdata-chest-xray-abnormalities-detection --out data/vin --readers any
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self

from data_prep.errors import UserError
from data_prep.readers import Reader, named_alike
from data_prep.readers.shared.archive import ROLES, ArchiveTable, archive_source, located
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.places import box_of_corners, with_boxes, without_boxes
from data_prep.readers.shared.records import Box, Source
from data_prep.registry import option
from data_prep.tables.columns import named_column
from data_prep.tables.matching import FileIndex
from data_prep.tables.table import parse_codes, read_table
from data_prep.tables.textfile import read_text
from data_prep.tables.vocabulary import folded, is_normal, nearest

if TYPE_CHECKING:
    import pandas as pd

KAGGLE14 = (
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Consolidation",
    "ILD",
    "Infiltration",
    "Lung Opacity",
    "Nodule/Mass",
    "Other lesion",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
)
LOCAL22 = (
    *KAGGLE14,
    "Clavicle fracture",
    "Edema",
    "Emphysema",
    "Enlarged PA",
    "Lung cavity",
    "Lung cyst",
    "Mediastinal shift",
    "Rib fracture",
)
DIAGNOSES = ("COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other disease")
_SIDES = ("x_min", "y_min", "x_max", "y_max")
_MARKS = {
    "annotations_*.csv": "class_name",
    "image_labels_*.csv": "Aortic enlargement",
    "train.csv": "class_name",
}
_RENAMED = {"Other diseases": "Other disease"}  # so spelt in one of PhysioNet's two tables


class _Tables(NamedTuple):
    """The tables of one part of the archive."""

    split: str
    labels: Path | None
    boxes: Path | None
    known: tuple[str, ...]


class Part(Reader):
    """Of boxes those are kept whose finding is positive for their film by the same rule."""

    findings: ClassVar[Mapping[str, str]] = {
        **named_alike((*LOCAL22, *DIAGNOSES, "No finding")),
        **_RENAMED,
    }
    marks: ClassVar[Mapping[str, str]] = {
        front + name + end: word
        for name, word in _MARKS.items()
        for front in ("", "annotations/")
        for end in ("", ".gz")
    }

    readers: Literal["majority", "any", "all"] = option(
        "majority", "Of a film's readers, who must assert a finding for it to be positive."
    )

    def read(self, raw: Path, name: str) -> Source:
        """Read the archive, see `Reader.read`."""
        tables = _tables_in(raw)
        table = vindr_table(tables, self.readers)
        files = [path.name for t in tables for path in (t.labels, t.boxes) if path]
        source = archive_source(
            table,
            FileIndex(raw),
            name=name,
            origin=f"VinDr-CXR, {', '.join(files)}, readers: {self.readers}",
            citation=self.citation_said(),
        )
        annotated = [t for t in tables if t.boxes]
        if not annotated:
            return without_boxes(source, "annotations_*.csv isn't in the folder")
        boxes = [box for t in annotated for box in _boxes(t, table)]
        names = ", ".join(t.boxes.name for t in annotated)
        return with_boxes(source, boxes, f"{names} (of positive findings)", in_pixels=True)

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """Four films of Kaggle's release, of three readers each, see `Reader.example`."""
        rows = [("image_id", "class_name", "class_id", "rad_id", *_SIDES)]
        for number in range(4):
            image = f"{number:032x}"
            write_film(folder / "train" / f"{image}.dicom", number)
            for reader in range(3):
                found = reader < number
                what = ("Cardiomegaly", 3) if found else ("No finding", 14)
                sides = (8 + reader, 16, 40.5, 48) if found else ("",) * 4
                rows.append((image, *what, f"R{8 + reader}", *sides))
        write_table(folder / "train.csv", rows)
        return folder, cls()


def _tables_in(root: Path) -> list[_Tables]:
    found = []
    for split in ("train", "test"):
        labels = _one(root, f"image_labels_{split}.csv")
        boxes = _one(root, f"annotations_{split}.csv")
        if labels or boxes:
            found.append(_Tables(split, labels, boxes, LOCAL22))
    path = None if found else _one(root, "train.csv")
    if path and "class_name" in read_text(path).partition("\n")[0]:  # CheXpert has a train.csv too
        found.append(_Tables("train", None, path, KAGGLE14))
    if not found:
        raise UserError(
            f"There is no annotations_train.csv, image_labels_train.csv or (Kaggle's) train.csv in "
            f"{root}. Give the folder that holds the tables or their folder `annotations`."
        )
    return found


def _one(root: Path, name: str) -> Path | None:
    places = tuple(front + name + end for front in ("", "annotations/") for end in ("", ".gz"))
    return next(iter(located(root, places)), None)


def vindr_table(tables: list[_Tables], rule: str) -> ArchiveTable:
    """One row per film from one per reader, or per reader and box.

    Args:
        tables: of each part.
        rule: `majority` (more than half of a film's readers), `any` or `all` of them.

    Returns:
        The parts as one table. A part without image_labels_*.csv says nothing of the diagnoses:
        they are blank.

    Raises:
        UserError: a table lacks a column, or names an unknown finding.
    """
    import pandas as pd

    parts, notes = [], []
    for part in tables:
        said = _said_in_labels(part.labels) if part.labels else _said_by_boxes(part)
        readers = said.groupby(level=0, sort=False).size()
        votes = said.groupby(level=0, sort=False).sum()
        needed = {"majority": readers // 2 + 1, "any": readers * 0 + 1, "all": readers}[rule]
        codes = votes.ge(needed, axis=0).astype(int).astype(str)
        parts.append(codes.assign(split=part.split))
        most = ", ".join(f"{n:,} by {k}" for k, n in readers.value_counts().sort_index().items())
        notes.append(f"{part.split}: {len(codes):,} images; readers: {most}; positive by {rule}")
    labels = tuple(dict.fromkeys(c for part in parts for c in part.columns if c != "split"))
    frame = pd.concat(parts).reindex(columns=["split", *labels]).fillna("")
    about = pd.DataFrame({"image": frame.index, "split": frame.pop("split").to_numpy()})
    about = about.reindex(columns=list(ROLES), fill_value="")
    return ArchiveTable(
        pd.concat([about, frame.reset_index(drop=True)], axis=1), labels, tuple(notes)
    )


def _said_in_labels(path: Path) -> pd.DataFrame:
    """(image, reader) x labels, bool: what each reader asserts."""
    frame = read_table(path).rename(columns=_RENAMED)
    named_column(frame, "image_id", f"of {path.name}")
    labels = [c for c in frame.columns if c not in ("image_id", "rad_id") and not is_normal(c)]
    said = parse_codes(frame, labels) == "1"
    return said.set_index(frame["image_id"].to_numpy())


def _said_by_boxes(part: _Tables) -> pd.DataFrame:
    """The same from boxes: a reader asserts what she drew a box of."""
    import numpy as np
    import pandas as pd

    frame = _annotations(part.boxes)
    readings = frame.groupby(["image_id", "rad_id"], sort=False)
    rows = readings.ngroup().to_numpy()
    said = np.zeros((readings.ngroups, len(part.known)), bool)
    columns = frame["class_name"].map(_places(frame["class_name"], part))
    drawn = columns >= 0
    said[rows[drawn], columns[drawn]] = True
    images = frame["image_id"].groupby(rows).first()
    return pd.DataFrame(said, index=images.to_numpy(), columns=list(part.known))


def _annotations(path: Path) -> pd.DataFrame:
    frame = read_table(path)
    for column in ("image_id", "class_name", *_SIDES):
        named_column(frame, column, f"of {path.name}")
    return frame if "rad_id" in frame.columns else frame.assign(rad_id="")


def _places(names: pd.Series, part: _Tables) -> dict[str, int]:
    """Finding -> its number among the known ones, -1 for none."""
    known = {folded(label): number for number, label in enumerate(part.known)}
    places = {}
    for name in names.unique():
        places[name] = -1 if is_normal(name) else known.get(folded(name))
        if places[name] is None:
            raise UserError(
                f"{part.boxes.name} has the finding {name!r}. {nearest(name, part.known)}"
            )
    return places


def _boxes(part: _Tables, table: ArchiveTable) -> Iterator[Box]:
    """The boxes of findings that are positive, in pixels."""
    frame = _annotations(part.boxes)
    label_of = {folded(label): label for label in table.labels}
    codes = table.frame[table.frame["split"] == part.split].set_index("image")
    positive = {label: set(codes.index[codes[label] == "1"]) for label in table.labels}
    cells = zip(*(frame[column] for column in ("image_id", "class_name", *_SIDES)), strict=True)
    for line, (image, finding, *sides) in enumerate(cells, start=2):
        label = label_of.get(folded(finding))
        if label and image in positive[label]:
            yield box_of_corners(image, label, sides, f"{part.boxes.name}, line {line}")
