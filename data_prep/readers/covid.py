"""COVID-19 Image Data Collection: films of COVID-19 and other pneumonias from publications.

ROOT is the repository covid-chestxray-dataset: metadata.csv and the folder images; a part of them
will do. Patient numbers are the archive's own with `covid-` before them, as other archives count
from 1 too; films of one patient on one day (`offset`) are a study. Images other than X-ray (CT) are
left out by their row and counted.

A finding is a path such as Pneumonia/Viral/COVID-19: each of its steps is a label with 1, the other
labels have 0, but what other paths name below the last step is blank. `No Finding` is
the all-zero row; films of unknown finding (`todo`, `Unknown`) are left out and counted. The format
was read from the archive's documentation.

Download: https://github.com/ieee8023/covid-chestxray-dataset
Terms: of each film its own: the columns `license`, `doi` and `url` of metadata.csv

Source: Cohen JP, Morrison P, Dao L, Roth K, Duong TQ, Ghassemi M. COVID-19 Image Data Collection:
Prospective Predictions Are the Future. arXiv:2006.11988, 2020.

Examples:
  cxrkeras prep covid covid-chestxray-dataset --out data/covid
  cxrkeras prep covid covid-chestxray-dataset --out data/covid-all --views all --findings ours
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from data_prep.errors import UserError
from data_prep.readers import VIEWS, Reader
from data_prep.readers.shared.archive import ArchiveTable, archive_source, located, with_views
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.records import Source
from data_prep.registry import option
from data_prep.tables.matching import FileIndex
from data_prep.tables.table import read_table
from data_prep.tables.vocabulary import is_normal, nearest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_TABLE = "metadata.csv"
_COLUMNS = ("patientid", "finding", "view", "filename")
_UNKNOWN = ("", "todo", "unknown")
_KINDS = {  # of pneumonia, by what caused it
    "Viral": (
        "COVID-19", "SARS", "MERS-CoV", "Influenza", "H1N1", "Varicella", "Herpes",
    ),
    "Bacterial": (
        "Streptococcus", "Klebsiella", "Chlamydophila", "Legionella", "E.Coli", "Mycoplasma",
        "Nocardia", "Staphylococcus", "MRSA",
    ),
    "Fungal": ("Pneumocystis", "Aspergillosis"),
    "Lipoid": (),
    "Aspiration": (),
}  # fmt: skip
_LABELS = {
    "Pneumonia": "Pneumonia",
    **{name: f"{name} Pneumonia" for name in _KINDS},
    **{name: name for names in _KINDS.values() for name in names},
    "Tuberculosis": "Tuberculosis",
}


class Part(Reader):
    """The labels are the steps of the findings that occur in the table, e.g. `Viral Pneumonia`."""

    findings: ClassVar[Mapping[str, str]] = {**_LABELS, "No Finding": "", "todo": "", "Unknown": ""}
    marks: ClassVar[Mapping[str, str]] = {_TABLE: "RT_PCR_positive"}

    views: Literal["frontal", "lateral", "all"] = option("frontal", VIEWS)

    def read(self, raw: Path, name: str) -> Source:
        """Read the archive, see `Reader.read`."""
        found = located(raw, (_TABLE,))
        if not found:
            raise UserError(
                f"There is no {_TABLE} in {raw}. Give the folder of covid-chestxray-dataset, which "
                "holds it and the folder `images`."
            )
        table, films = covid_table(found[0])
        kept = with_views(table, self.views)
        kept = kept._replace(rows=kept.rows & films)
        source = archive_source(
            table,
            FileIndex(raw),
            name=name,
            origin=f"COVID-19 Image Data Collection, {_TABLE}",
            citation=self.citation_said(),
            keep=kept.rows,
            others=False,
        )
        return kept.said(source)

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """Three films and a CT of three patients, see `Reader.example`."""
        rows = [("patientid", "offset", "sex", "age", "finding", "RT_PCR_positive", "view",
                 "modality", "filename")]  # fmt: skip
        found = ("Pneumonia/Viral/COVID-19", "Pneumonia/Bacterial", "No Finding", "Pneumonia")
        for number, finding in enumerate(found):
            write_film(folder / "images" / f"f{number}.jpg", number)
            kind = ("AP", "X-ray") if number < 3 else ("Axial", "CT")
            rows.append((number, 0, "F", 65, finding, "", *kind, f"f{number}.jpg"))
        write_table(folder / _TABLE, rows)
        return folder, cls()


def covid_table(path: Path) -> tuple[ArchiveTable, np.ndarray]:
    """Read the archive's table alone.

    Returns:
        The table, and (rows,) bool: whether a row is of a radiograph.

    Raises:
        UserError: it lacks a column, or no row has a finding.
    """
    import pandas as pd

    frame = read_table(path)
    for column in _COLUMNS:
        if column not in frame:
            raise UserError(
                f"{path.name} has no column {column!r}. {nearest(column, frame.columns)}"
            )
    steps = {cell: _steps(cell) for cell in frame["finding"].unique()}
    occurring = {step for names in steps.values() for step in names or ()}
    if not occurring:
        raise UserError(f"{path.name} names no finding at all. Download it again.")
    known = [name for name in _LABELS if name in occurring]
    names = (*known, *sorted(occurring - set(known)))
    labels = tuple(_LABELS.get(name, name) for name in names)
    known_below = _below(steps.values())
    coded = {
        cell: found if found is None else _codes(found, names, known_below)
        for cell, found in steps.items()
    }
    codes = [coded[cell] for cell in frame["finding"]]
    patients = ("covid-" + frame["patientid"]).where(frame["patientid"] != "", "")
    about = pd.DataFrame(
        {
            "image": frame["filename"],
            "patient": patients,
            "study": _studies(frame, patients),
            "view": frame["view"],
            "sex": frame.get("sex", ""),
            "age": frame.get("age", ""),
            "split": "",
        }
    )
    films = pd.Series(True, frame.index)
    if "modality" in frame:
        films = frame["modality"].str.casefold().isin(("x-ray", "xray", ""))
    notes = (
        f"{path.name}: {len(frame):,} images of {frame['patientid'].nunique():,} patients, "
        f"{int((~films).sum()):,} of them no radiographs",
        f"of unknown finding: {codes.count(None):,} images left out",
    )
    return ArchiveTable(about, labels, notes, codes), films.to_numpy(bool)


def _steps(cell: str) -> tuple[str, ...] | None:
    """The steps of a finding; none for a normal film, None for an unknown one."""
    names = tuple(name.strip() for name in cell.split("/") if name.strip())
    if any(name.casefold() in _UNKNOWN for name in names) or not names:
        return None
    return () if all(map(is_normal, names)) else names


def _codes(
    found: tuple[str, ...], names: tuple[str, ...], below: Mapping[str, set[str]]
) -> tuple[str, ...]:
    blank = below.get(found[-1], ()) if found else ()
    return tuple("1" if name in found else "" if name in blank else "0" for name in names)


def _below(paths: Iterable[tuple[str, ...] | None]) -> dict[str, set[str]]:
    """Step -> the steps that stand below it, here or in `_KINDS`."""
    known = [("Pneumonia", kind, name) for kind, names in _KINDS.items() for name in names or ("",)]
    below: dict[str, set[str]] = {}
    for path in (*known, *paths):
        for place, step in enumerate(path or ()):
            below.setdefault(step, set()).update(path[place + 1 :])
    return below


def _studies(frame: pd.DataFrame, patients: pd.Series) -> pd.Series | str:
    if "offset" not in frame:
        return ""
    joined = patients + "-" + frame["offset"]
    return joined.where((frame["offset"] != "") & (patients != ""), "")
