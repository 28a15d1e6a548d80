"""ChestX-Det: 3,578 films of ChestX-ray14 on which radiologists outlined 13 findings.

ROOT holds ChestX_Det_train.json and ChestX_Det_test.json, or one of them, and the films in
train_data and test_data; a part of them will do. The parts become train and test in the column
`split`. A film on which nothing was outlined is the all-zero row. The boxes become boxes.csv; an
outline without a box gives the box around it.

All films are NIH's: don't hold a model that saw ChestX-ray14 to them. Where a film still has NIH's
name (00000042_006.png, as in the first release of ChestX-Det10) its patient is known from it; films
that were renumbered have no known patient.

None of it was at hand: the format could only be read from its documentation.

Download: https://github.com/Deepwise-AILab/ChestX-Det-Dataset
Terms: none stated by its authors; the films are NIH's: name its Clinical Center, cite both papers

Source: Lian J, Liu J, Zhang S, Gao K, Liu X, Zhang D, Yu Y. A Structure-Aware Relation Network for
Thoracic Diseases Detection and Segmentation. IEEE Trans Med Imaging 2021;40(8):2042-2052. Images:
NIH Clinical Center, Wang et al., CVPR 2017

Examples:
  cxrkeras prep chestx_det ChestX-Det --out data/chestx-det
  cxrkeras prep chestx_det ChestX-Det --out data/chestx-det --image-size 320 --pad
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

from data_prep.errors import UserError
from data_prep.readers import Reader, named_alike
from data_prep.readers.shared.archive import ROLES, ArchiveTable, archive_source, located
from data_prep.readers.shared.example import write_film
from data_prep.readers.shared.places import box_of_corners, with_boxes
from data_prep.readers.shared.records import Box, Source
from data_prep.tables.jsonfile import read_list
from data_prep.tables.matching import FileIndex
from data_prep.tables.vocabulary import folded, nearest

LABELS = (
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Consolidation",
    "Diffuse Nodule",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Fracture",
    "Mass",
    "Nodule",
    "Pleural Thickening",
    "Pneumothorax",
)
_KNOWN = {folded(label): label for label in LABELS}
_SPLITS = ("train", "test")
_NIH = re.compile(r"(\d{8})_\d{3}\.png")


class _Film(NamedTuple):
    """An entry of a file, checked."""

    image: str
    split: str
    findings: tuple[str, ...]
    boxes: tuple[Box, ...]


class Part(Reader):
    """Boxes are in the pixels of the films, whatever their size."""

    findings: ClassVar[Mapping[str, str]] = named_alike(LABELS)
    marks: ClassVar[Mapping[str, str]] = {"ChestX_Det_*.json": ""}

    def read(self, raw: Path, name: str) -> Source:
        """Read the archive, see `Reader.read`."""
        paths = {split: _one(raw, split) for split in _SPLITS}
        paths = {split: path for split, path in paths.items() if path}
        if not paths:
            raise UserError(
                f"There is no ChestX_Det_train.json or ChestX_Det_test.json in {raw}. Download "
                "them beside train_data and test_data, or give the folder that holds them."
            )
        films = [film for split, path in paths.items() for film in _films(path, split)]
        names = ", ".join(path.name for path in paths.values())
        source = archive_source(
            chestx_det_table(films, names),
            FileIndex(raw),
            name=name,
            origin=f"ChestX-Det, {names}",
            citation=self.citation_said(),
        )
        boxes = [box for film in films for box in film.boxes]
        return with_boxes(source, boxes, names, in_pixels=True)

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """Two films to train on and one to test on, see `Reader.example`."""
        entries: dict[str, list] = {split: [] for split in _SPLITS}
        for number in range(3):
            split = _SPLITS[number // 2]
            image = f"{36199 + number}.png"
            write_film(folder / f"{split}_data" / image, number)
            found = {
                "syms": ["Effusion", "Diffuse Nodule"],
                "boxes": [[4, 30, 28, 60], [36, 8, 60, 40]],
                "polygons": [[[4, 30], [28, 40], [10, 60]], [[36, 8], [60, 40], [40, 40]]],
            }
            empty = {"syms": [], "boxes": [], "polygons": []}
            entries[split].append({"file_name": image, **(empty if number == 1 else found)})
        for split, films in entries.items():
            (folder / f"ChestX_Det_{split}.json").write_text(json.dumps(films))
        return folder, cls()


def _one(root: Path, split: str) -> Path | None:
    return next(iter(located(root, (f"ChestX_Det_{split}.json",))), None)


def _films(path: Path, split: str) -> Iterator[_Film]:
    for number, entry in enumerate(read_list(path), start=1):
        where = f"{path.name}, film {number}"
        found, name = entry.get("syms"), entry.get("file_name")
        if not isinstance(found, list) or not isinstance(name, str) or not name:
            raise UserError(f"{where} has no file_name and list of syms. Download it again.")
        findings = tuple(_finding(word, where) for word in found)
        image = f"{split}_data/{name}"
        yield _Film(image, split, findings, tuple(_boxes(entry, image, findings, where)))


def _finding(word: object, where: str) -> str:
    label = _KNOWN.get(folded(str(word)))
    if label is None:
        raise UserError(f"{where} has the finding {str(word)!r}. {nearest(str(word), LABELS)}")
    return label


def _boxes(entry: dict, image: str, findings: tuple[str, ...], where: str) -> Iterator[Box]:
    """A box for each finding of a film."""
    drawn = entry.get("boxes") or [_around(outline) for outline in entry.get("polygons") or ()]
    if not isinstance(drawn, list) or len(drawn) != len(findings):
        raise UserError(f"{where}: as many boxes as findings are needed. Download it again.")
    for finding, corners in zip(findings, drawn, strict=True):
        corners = corners if isinstance(corners, list) else ()
        yield box_of_corners(image, finding, corners, where)


def _around(outline: object) -> list[float]:
    """Left, top, right and bottom of the points of an outline; () where they aren't points."""
    try:
        x, y = zip(*((float(a), float(b)) for a, b in outline), strict=True)
    except (TypeError, ValueError):
        return []
    return [min(x), min(y), max(x), max(y)]


def chestx_det_table(films: list[_Film], name: str) -> ArchiveTable:
    """One row per film: 1 for what was outlined, 0 for all else."""
    import pandas as pd

    rows = []
    for film in films:
        nih = _NIH.fullmatch(film.image.rpartition("/")[2])
        patient = str(int(nih.group(1))) if nih else ""
        codes = {label: str(int(label in film.findings)) for label in LABELS}
        rows.append({"image": film.image, "patient": patient, "split": film.split, **codes})
    frame = pd.DataFrame(rows).reindex(columns=[*ROLES, *LABELS], fill_value="")
    empty = sum(not film.findings for film in films)
    outlined = sum(len(film.findings) for film in films)
    note = f"{name}: {len(films):,} films, {outlined:,} findings, {empty:,} films without any"
    return ArchiveTable(frame, LABELS, (note,))
