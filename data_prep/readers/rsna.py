"""RSNA's Pneumonia Detection Challenge: 26,684 films of ChestX-ray14, read anew, with boxes.

ROOT holds stage_2_train_labels.csv and the films (PATIENTID.dcm in stage_2_train_images); a part of
them will do. Tables may be gzipped. The label `Opacity Suggesting Pneumonia` is the challenge's
target, which its classes call Lung Opacity: films with other opacities are negatives, so it isn't
the Lung Opacity of other archives. Its boxes become boxes.csv. With
stage_2_detailed_class_info.csv beside the table there is a second label, `No Lung Opacity / Not
Normal`; `Normal` is the all-zero row.

All films are NIH's: don't hold a model that saw ChestX-ray14 to them. The challenge gave each film
a patient number of its own; with pneumonia-challenge-dataset-mappings_2018.json beside the table
NIH's own patient numbers are used, so that folds keep a patient's films together. View, sex and age
are in the DICOM header.

The table of boxes was checked as it is; that of classes and the mapping could only be read from
their documentation.

Download: https://www.rsna.org/rsnai/ai-image-challenge/rsna-pneumonia-detection-challenge-2018
Terms: any use with attribution to RSNA and to the NIH Clinical Center, see the page above

Source: Shih G, Wu CC, Halabi SS, et al. Augmenting the National Institutes of Health Chest
Radiograph Dataset with Expert Annotations of Possible Pneumonia. Radiology: Artificial Intelligence
2019;1(1):e180041. Images: NIH Clinical Center, Wang et al., CVPR 2017

Examples:
  cxrkeras prep rsna rsna-pneumonia-detection-challenge --out data/rsna
  cxrkeras prep rsna rsna-pneumonia-detection-challenge --out data/rsna-pa --image-size 256
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from data_prep.errors import UserError
from data_prep.readers import Reader, named_alike
from data_prep.readers.shared.archive import ROLES, ArchiveTable, archive_source, located
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.places import box_of_corners, scaled, with_boxes
from data_prep.readers.shared.records import Box, Source
from data_prep.tables.columns import named_column
from data_prep.tables.jsonfile import read_list
from data_prep.tables.matching import FileIndex
from data_prep.tables.table import parse_codes, read_table
from data_prep.tables.vocabulary import folded, nearest

if TYPE_CHECKING:
    import pandas as pd

OPACITY, OTHER, NORMAL = "Lung Opacity", "No Lung Opacity / Not Normal", "Normal"
SUGGESTIVE = "Opacity Suggesting Pneumonia"
SIDE = 1024  # of the challenge's pictures, pixels: what its boxes are given in
_TABLE = "stage_2_train_labels.csv"
_CLASSES = "stage_2_detailed_class_info.csv"
_MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
_SIDES = ("x", "y", "width", "height")


class Part(Reader):
    """The labels are the challenge's, which aren't those that NIH mined from reports."""

    findings: ClassVar[Mapping[str, str]] = {
        OPACITY: SUGGESTIVE,
        **named_alike((OTHER, NORMAL)),
    }
    marks: ClassVar[Mapping[str, str]] = dict.fromkeys((_TABLE, f"{_TABLE}.gz"), "patientId")

    def read(self, raw: Path, name: str) -> Source:
        """Read the archive, see `Reader.read`."""
        path = _one(raw, _TABLE)
        if path is None:
            raise UserError(
                f"There is no {_TABLE} in {raw}. Download it beside the films, or give the folder "
                "that holds it."
            )
        frame = read_table(path)
        for column in ("patientId", "Target", *_SIDES):
            named_column(frame, column, f"of {path.name}")
        table = rsna_table(frame, path, _one(raw, _CLASSES), _one(raw, _MAPPING))
        source = archive_source(
            table,
            FileIndex(raw),
            name=name,
            origin=f"RSNA Pneumonia Detection Challenge 2018, {path.name}",
            citation=self.citation_said(),
        )
        return with_boxes(source, _boxes(frame, path), path.name)

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """Four films, one with two boxes, see `Reader.example`."""
        rows, classes = [("patientId", *_SIDES, "Target")], [("patientId", "class")]
        for number in range(4):
            film = f"{number:08x}-0000-4000-8000-000000000000"
            header = {"PatientID": film, "ViewPosition": "AP", "PatientSex": "F"}
            write_film(folder / "stage_2_train_images" / f"{film}.dcm", number, **header)
            found = [(256, 128, 200, 300, 1), (600, 200, 210, 290, 1)] if number == 0 else []
            for box in found or [("", "", "", "", 0)]:
                rows.append((film, *box))
                classes.append((film, (OPACITY, OTHER, NORMAL)[min(number, 2)]))
        write_table(folder / _TABLE, rows)
        write_table(folder / _CLASSES, classes)
        return folder, cls()


def _one(root: Path, name: str) -> Path | None:
    return next(iter(located(root, (name, f"{name}.gz"))), None)


def rsna_table(
    frame: pd.DataFrame, path: Path, classes: Path | None = None, mapping: Path | None = None
) -> ArchiveTable:
    """One row per film.

    Args:
        frame: stage_2_train_labels.csv, one row per box or film without one.
        path: its file, for messages.
        classes: stage_2_detailed_class_info.csv.
        mapping: which film of NIH each is.

    Raises:
        UserError: the tables contradict themselves or each other.
    """
    import pandas as pd

    codes = parse_codes(frame, ["Target"])["Target"]
    drawn = (frame[list(_SIDES)] != "").all(axis=1)
    if (bad := ((codes == "1") != drawn).to_numpy()).any():
        raise UserError(
            f"{path.name}, line {int(bad.argmax()) + 2}: Target is 1 exactly where there is a box. "
            "Download the table again."
        )
    target = (codes == "1").groupby(frame["patientId"], sort=False).any()
    columns = {SUGGESTIVE: target.map({True: "1", False: "0"})}
    notes = [f"{path.name}: {len(target):,} films, {int(drawn.sum()):,} boxes"]
    if classes:
        columns[OTHER] = _other(classes, target)
    else:
        notes.append(f"label {OTHER}: none ({_CLASSES} isn't beside the table)")
    patients = _patients(mapping) if mapping else {}
    known = sum(film in patients for film in target.index)
    notes.append(
        f"patients: NIH's, of {known:,} films ({mapping.name})"
        if mapping
        else f"patients: one per film, though NIH's may have several ({_MAPPING} isn't beside the "
        "table)"
    )
    about = pd.DataFrame(
        {"image": target.index, "patient": [patients.get(film, film) for film in target.index]}
    ).reindex(columns=list(ROLES), fill_value="")
    labels = pd.DataFrame(columns).reset_index(drop=True)
    return ArchiveTable(pd.concat([about, labels], axis=1), tuple(columns), tuple(notes))


def _other(path: Path, target: pd.Series) -> pd.Series:
    """The codes of `OTHER`; blank for a film that the table of classes lacks."""
    frame = read_table(path)
    for column in ("patientId", "class"):
        named_column(frame, column, f"of {path.name}")
    known = {folded(name): name for name in (OPACITY, OTHER, NORMAL)}
    frame["class"] = [known.get(folded(cell), cell) for cell in frame["class"]]
    if unknown := sorted(set(frame["class"]) - set(known.values())):
        raise UserError(
            f"{path.name} has the class {unknown[0]!r}. {nearest(unknown[0], known.values())}"
        )
    of = frame.drop_duplicates("patientId").set_index("patientId")["class"].reindex(target.index)
    differ = int(((of == OPACITY) != target)[of.notna()].sum())
    if differ:
        raise UserError(
            f"{path.name} and {_TABLE} differ in {OPACITY} on {differ} films: they belong to "
            "different stages of the challenge. Download both again."
        )
    return of.map({OPACITY: "0", OTHER: "1", NORMAL: "0"}).fillna("")


def _patients(path: Path) -> dict[str, str]:
    """{film: NIH's number of its patient}."""
    found = {}
    for item in read_list(path):
        film, image = str(item.get("subset_img_id", "")), str(item.get("img_id", ""))
        if film and (match := re.fullmatch(r"(\d{8})_\d{3}\.png", image)):
            found[film] = str(int(match.group(1)))
    if not found:
        raise UserError(f"{path.name} maps no film to NIH's: it needs subset_img_id and img_id.")
    return found


def _boxes(frame: pd.DataFrame, path: Path) -> Iterator[Box]:
    rows = zip(frame["patientId"], *(frame[side] for side in _SIDES), strict=True)
    for line, (film, *sides) in enumerate(rows, start=2):
        if not all(sides):
            continue
        where = f"{path.name}, line {line}"
        try:
            x, y, width, height = map(float, sides)
        except ValueError:
            raise UserError(f"{where} isn't a box: four numbers are needed. Correct it.") from None
        box = box_of_corners(film, SUGGESTIVE, (x, y, x + width, y + height), where)
        yield scaled(box, SIDE, SIDE)
