"""BRAX of Hospital Israelita Albert Einstein, São Paulo: 40,967 films of 19,351 patients.

ROOT holds master_spreadsheet_update.csv and the PNGs in images/id_…/Study_…/Series_…; a part of
them will do. Patient numbers are the archive's own pseudonyms and stay; the study comes from the
path. Ages are in steps of five years; `85 or more` is 85.

The labels are CheXpert's, mined from Portuguese reports, and the codes are kept: 1, 0, -1
uncertain, blank not mentioned. The format was read from the archive's documentation.

Download: https://physionet.org/content/brax/
Terms: a PhysioNet credentialed account, training and data use agreement; no sharing of the films

Source: Reis EP, de Paiva JPQ, da Silva MCB, et al. BRAX, Brazilian labeled chest x-ray dataset.
Scientific Data 9, 487, 2022. https://doi.org/10.1038/s41597-022-01608-8

Examples:
  cxrkeras prep brax physionet.org/files/brax/1.1.0 --out data/brax
  cxrkeras prep brax brax/1.1.0 --out data/brax-all --views all
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from data_prep.errors import UserError
from data_prep.readers import VIEWS, Reader
from data_prep.readers.shared.archive import ArchiveTable, archive_source, located, with_views
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.records import Source
from data_prep.registry import option
from data_prep.tables.large import read_columns
from data_prep.tables.matching import FileIndex
from data_prep.tables.table import parse_codes
from data_prep.tables.vocabulary import CHEXPERT14

if TYPE_CHECKING:
    import pandas as pd

_TABLE = "master_spreadsheet_update.csv"
_STUDY = re.compile(r"(id_[^/]+/Study_[^/]+)/", re.IGNORECASE)
_OLDEST = re.compile(r"\s*(\d+)\s+or more\s*", re.IGNORECASE)


class Part(Reader):
    """The labels `CHEXPERT14`, one row per film."""

    findings: ClassVar[Mapping[str, str]] = {name: name for name in CHEXPERT14}
    marks: ClassVar[Mapping[str, str]] = {_TABLE: "PngPath", f"{_TABLE}.gz": "PngPath"}

    views: Literal["frontal", "lateral", "all"] = option("frontal", VIEWS)

    def read(self, raw: Path, name: str) -> Source:
        """Read the archive, see `Reader.read`."""
        found = located(raw, tuple(type(self).marks))
        if not found:
            raise UserError(
                f"There is no {_TABLE} in {raw}. Download it beside the folder `images`, and give "
                "the folder that holds both."
            )
        table = brax_table(found[0])
        kept = with_views(table, self.views)
        source = archive_source(
            table,
            FileIndex(raw),
            name=name,
            origin=f"BRAX, {found[0].name}",
            citation=self.citation_said(),
            keep=kept.rows,
        )
        return kept.said(source)

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """A study of two views and a film of another patient, see `Reader.example`."""
        rows = [
            ("", "PngPath", "PatientID", "PatientSex", "PatientAge", *CHEXPERT14, "ViewPosition")
        ]
        films = (("id_a/Study_1.2", "PA"), ("id_a/Study_1.2", "L"), ("id_b/Study_1.3", ""))
        for number, (study, view) in enumerate(films):
            path = f"images/{study}/Series_1.4.{number}/image-1-2-3.png"
            write_film(folder / path, number)
            age = ("85 or more", "40")[number % 2]
            codes = ["", "1.0", "-1.0", "0.0", *[""] * 10]
            rows.append((number, path, study[:4], "F", age, *codes, view))
        write_table(folder / _TABLE, rows)
        return folder, cls()


def brax_table(path: Path) -> ArchiveTable:
    """Read the archive's table alone.

    Raises:
        UserError: it lacks a column, or a value is no code.
    """
    import pandas as pd

    others = ("PatientSex", "PatientAge", "ViewPosition")
    table = read_columns(path, ("PngPath", "PatientID", *CHEXPERT14), others)
    about = pd.DataFrame(
        {
            "image": table["PngPath"],
            "patient": table["PatientID"],
            "study": [_study(path) for path in table["PngPath"]],
            "view": _column(table, "ViewPosition"),
            "sex": _column(table, "PatientSex"),
            "age": _column(table, "PatientAge").str.replace(_OLDEST, r"\1", regex=True),
            "split": "",
        }
    )
    patients, studies = about["patient"].nunique(), about["study"].nunique()
    note = f"{path.name}: {len(table):,} films of {studies:,} studies and {patients:,} patients"
    codes = parse_codes(table, list(CHEXPERT14))
    return ArchiveTable(pd.concat([about, codes], axis=1), CHEXPERT14, (note,))


def _study(path: str) -> str:
    match = _STUDY.search(path.replace("\\", "/"))
    return match[1] if match else ""


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    import pandas as pd

    return table[name] if name in table else pd.Series("", index=table.index)
