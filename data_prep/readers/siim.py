"""SIIM-ACR Pneumothorax Segmentation: 12,047 films of ChestX-ray14 with masks of pneumothorax.

ROOT holds the table (stage_2_train.csv, or train-rle.csv of the first stage, as run lengths) and
the DICOM files, IMAGEID.dcm, in folders of any depth (dicom-images-train); a part of them will do.
The table may be gzipped. Its one label is Pneumothorax. A film has a row for each region drawn on
it: these make one mask, and a box around each connected part of it becomes a row of boxes.csv.

All films are NIH's: don't hold a model that saw ChestX-ray14 to them. Their patients aren't told:
the header has a number of its own for each film. View, sex and age are in the header.

train-rle.csv was checked as it is; stage_2_train.csv, which is said to have the same columns, could
only be read from its documentation.

Download: https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation
Terms: the rules of Kaggle's competition; the films are NIH's, which asks for its terms to be kept

Source: Society for Imaging Informatics in Medicine, American College of Radiology. SIIM-ACR
Pneumothorax Segmentation. Kaggle 2019. Images: NIH Clinical Center, Wang et al., CVPR 2017

Examples:
  cxrkeras prep siim siim-acr-pneumothorax-segmentation --out data/siim
  cxrkeras prep siim siim --out data/siim-first --table siim/train-rle.csv
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from data_prep.errors import UserError
from data_prep.readers import Reader, named_alike
from data_prep.readers.shared.archive import ROLES, ArchiveTable, archive_source, located
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.places import boxes_of_mask, run_length_mask, with_boxes
from data_prep.readers.shared.records import Box, Source
from data_prep.registry import option
from data_prep.tables.columns import named_column
from data_prep.tables.matching import FileIndex
from data_prep.tables.table import read_table

if TYPE_CHECKING:
    import pandas as pd

LABEL = "Pneumothorax"
SIDE = 1024  # of the competition's pictures, pixels: what its run lengths are given in
_TABLES = tuple(
    name + end for name in ("stage_2_train.csv", "train-rle.csv") for end in ("", ".gz")
)
_IMAGE, _RUNS = "ImageId", "EncodedPixels"
_EMPTY = "-1"


class Part(Reader):
    """A film is positive if any of its rows has a mask."""

    findings: ClassVar[Mapping[str, str]] = named_alike((LABEL,))
    marks: ClassVar[Mapping[str, str]] = dict.fromkeys(_TABLES, _RUNS)

    table: Path | None = option(None, "[default: stage_2_train.csv or train-rle.csv in ROOT]")

    def read(self, raw: Path, name: str) -> Source:
        """Read the archive, see `Reader.read`."""
        path = self.table or _table_in(raw)
        frame = read_table(path)
        for column in (_IMAGE, _RUNS):
            named_column(frame, column, f"of {path.name}")
        source = archive_source(
            siim_table(frame, path),
            FileIndex(raw),
            name=name,
            origin=f"SIIM-ACR Pneumothorax Segmentation, {path.name}",
            citation=self.citation_said(),
        )
        here = frame[frame[_IMAGE].isin({record.key for record in source.records})]
        masked = frame.loc[frame[_RUNS] != _EMPTY, _IMAGE].nunique()
        boxes = list(_boxes(here, path))
        films = len({box.key for box in boxes})
        return with_boxes(
            source, boxes, f"the masks of {films:,} films of {masked:,} that have one"
        )

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """Three films, one with a mask of two rows, see `Reader.example`."""
        rows = [(_IMAGE, f" {_RUNS}")]
        for number in range(3):
            uid = f"1.2.276.0.7230010.3.1.4.8323329.{number}.1517875201.{850000 + number}"
            film = folder / "dicom-images-train" / f"{uid}.1" / f"{uid}.2" / f"{uid}.dcm"
            write_film(film, number, SOPInstanceUID=uid, PatientID=f"p{number}", ViewPosition="PA")
            runs = ["2048 512 512 512", f"{SIDE * 512} 256"] if number == 1 else [_EMPTY]
            rows += [(uid, f" {run}") for run in runs]
        write_table(folder / "train-rle.csv", rows)
        return folder, cls()


def _table_in(root: Path) -> Path:
    found = located(root, _TABLES)
    if not found:
        raise UserError(
            f"There is no stage_2_train.csv or train-rle.csv in {root}. Download it beside the "
            "films, or name the table with --table."
        )
    return min(found, key=lambda path: _TABLES.index(path.name))


def siim_table(frame: pd.DataFrame, path: Path) -> ArchiveTable:
    """One row per film from one per region."""
    import pandas as pd

    masked = (frame[_RUNS] != _EMPTY).groupby(frame[_IMAGE], sort=False).any()
    about = pd.DataFrame({"image": masked.index}).reindex(columns=list(ROLES), fill_value="")
    about[LABEL] = ["1" if found else "0" for found in masked]
    note = f"{path.name}: {len(frame):,} rows of {len(about):,} films, {int(masked.sum()):,} masked"
    return ArchiveTable(about, (LABEL,), (note,))


def _boxes(frame: pd.DataFrame, path: Path) -> Iterator[Box]:
    masks: dict[str, list[tuple[int, str]]] = {}
    for line, image, runs in zip(frame.index + 2, frame[_IMAGE], frame[_RUNS], strict=True):
        if runs != _EMPTY:
            masks.setdefault(image, []).append((line, runs))
    for image, rows in masks.items():
        regions = (run_length_mask(runs, SIDE, f"{path.name}, line {line}") for line, runs in rows)
        yield from boxes_of_mask(reduce(or_, regions), image, LABEL)
