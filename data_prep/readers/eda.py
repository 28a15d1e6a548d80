"""The study's layout: DICOM files, and a table with one row per image and sub-finding.

19 sub-findings are merged to the study's categories: seven labels; normal is the all-zero row
and the pacemaker is dropped. Rows of one image are merged by OR.

Examples:
  cxrkeras prep eda --images dicom --table findings.csv --out data/eda
  cxrkeras prep eda --images dicom --table findings.csv --out data/eda8 --include-normal
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from data_prep.errors import UserError
from data_prep.filenames import printable
from data_prep.readers import TableReader
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.records import Source
from data_prep.readers.shared.rows import Rows, join_rows, records_of, refused
from data_prep.registry import option
from data_prep.tables.columns import findings_column, named_column
from data_prep.tables.table import check_known, read_table
from data_prep.tables.vocabulary import (
    EDA7,
    EDA_FINDINGS,
    NORMAL,
    PACEMAKER,
    eda_category,
    is_eda_finding,
)

if TYPE_CHECKING:
    import pandas as pd

ONLY_PACEMAKER = f"{PACEMAKER} is its only finding"
BESIDE_PACEMAKER = f"{PACEMAKER} is left out; the image stays with its other findings"
NO_FINDING = "no sub-finding in the table"


class Part(TableReader):
    """The categories are `vocabulary.EDA_TAXONOMY`, the labels `EDA7`, the codes 1 and 0 only.

    The pacemaker is no finding of the lungs and is dropped, as in the study. The label `normal` is
    1 where the table says so and no category is 1.
    """

    findings: ClassVar[Mapping[str, str]] = {
        name: "" if eda_category(name) in (NORMAL, PACEMAKER) else eda_category(name)
        for name in dict.fromkeys(EDA_FINDINGS)
    }

    table: Path = option(..., "CSV or TSV with rows of image and sub-finding.")
    finding_column: str | None = option(None, "The column of sub-findings.")
    include_normal: bool = option(False, "Add an eighth label: normal.")
    keep_pacemaker: bool = option(
        False, "Keep images that show only a pacemaker, as all-zero rows."
    )

    def read(self, raw: Path, name: str) -> Source:
        """Read a folder and its table, see `Reader.read`.

        Raises:
            UserError: as there, or a sub-finding is unknown.
        """
        frame = read_table(self.table, self.encoding)
        rows = join_rows(frame, raw, self.columns)
        column = _finding_column(frame, rows.taken, self.finding_column)
        found = [_categories(cell) for cell in frame[column]]
        rows.notes.append(f"sub-finding column: {column}")
        labels = (*EDA7, NORMAL) if self.include_normal else EDA7
        pile = _Pile(rows, found, labels, self.keep_pacemaker)
        records = records_of(rows, pile.codes)
        rejected = pile.dropped + refused(rows)
        return Source(
            name=name,
            labels=labels,
            records=records,
            rejected=rejected,
            origin=f"table {printable(self.table.name)}",
            citation=self.citation,
            notes=(*rows.notes, *pile.notes()),
        )

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """Four films, one of two sub-findings and one of a pacemaker, see `Reader.example`."""
        findings = ["scoliosis", "normal", PACEMAKER, "normal"]
        rows = [["file", "finding"], ["f0.png", "aortic curvature"]]
        for number, finding in enumerate(findings):
            write_film(folder / "films" / f"f{number}.png", number)
            rows.append([f"f{number}.png", finding])
        return folder / "films", cls(table=write_table(folder / "findings.csv", rows))


class _Pile:
    """The rows of one image OR-ed into one, and what that leaves out."""

    def __init__(
        self, rows: Rows, found: list[frozenset[str]], labels: tuple[str, ...], keep: bool
    ) -> None:
        self.rows, self.found, self.labels, self.keep_pacemaker = rows, found, labels, keep
        self.dropped: list[tuple[str, str]] = []

    def codes(self, numbers: list[int]) -> tuple[str, ...] | None:
        categories = frozenset().union(*(self.found[number] for number in numbers))
        key = self.rows.keys[numbers[0]] or ""
        abnormal = categories & set(EDA7)
        if not categories:
            self.dropped.append((key, NO_FINDING))
            return None
        if PACEMAKER in categories:
            if not abnormal and not self.keep_pacemaker:
                self.dropped.append((key, ONLY_PACEMAKER))
                return None
            self.dropped.append((key, BESIDE_PACEMAKER))
        positive = abnormal or (categories & {NORMAL} if PACEMAKER not in categories else set())
        return tuple("1" if label in positive else "0" for label in self.labels)

    def notes(self) -> list[str]:
        """The pacemakers, and rows beside images per category: merged positives are never more."""
        notes = []
        only = sum(reason == ONLY_PACEMAKER for _, reason in self.dropped)
        if only:
            notes.append(f"{PACEMAKER}: {only} images with nothing else dropped (in rejected.csv)")
        beside = sum(reason == BESIDE_PACEMAKER for _, reason in self.dropped)
        if beside:
            notes.append(f"{PACEMAKER}: left out of {beside} images that stay (in rejected.csv)")
        for category in EDA7:
            numbers = [n for n, categories in enumerate(self.found) if category in categories]
            images = {self.rows.keys[n] for n in numbers} - {None}
            notes.append(f"{category}: {len(numbers)} rows, {len(images)} images")
        return notes


def _finding_column(frame: pd.DataFrame, taken: set[str], named: str | None) -> str:
    if named:
        column = named_column(frame, named, "--finding-column")
    else:
        candidates = [column for column in frame.columns if column not in taken]
        column = max(candidates, key=lambda name: _known_rows(frame[name]), default=None)
        if column is None or not _known_rows(frame[column]):
            column = findings_column(frame, taken)
    if column is None:
        raise UserError("The table has no column of sub-findings. Name it with --finding-column.")
    names = {name for cell in frame[column].unique() for name in _split(cell)}
    check_known(names, is_eda_finding, EDA_FINDINGS, column)
    return column


def _known_rows(values: pd.Series) -> int:
    """How many rows hold nothing but names of the taxonomy."""
    counts = values.value_counts()
    names = {value: _split(value) for value in counts.index}
    return sum(n for v, n in counts.items() if names[v] and all(map(is_eda_finding, names[v])))


def _split(cell: str) -> list[str]:
    return [name.strip() for name in cell.split("|") if name.strip()]


def _categories(cell: str) -> frozenset[str]:
    return frozenset(eda_category(name) for name in _split(cell))
