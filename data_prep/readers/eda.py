"""The study's own layout: DICOM files, and a table of one row per (image, sub-finding).

19 sub-findings are merged to 8 categories and normal (`vocabulary.EDA_TAXONOMY`); normal is the
all-zero row; the pacemaker is no finding of the lungs and is dropped, as in the study.
"""

from pathlib import Path

import pandas as pd

from data_prep.errors import UserError
from data_prep.filenames import printable
from data_prep.readers.records import Source
from data_prep.readers.rows import Choice, Rows, join_rows, records_of, refused
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

ONLY_PACEMAKER = f"{PACEMAKER} is its only finding"
BESIDE_PACEMAKER = f"{PACEMAKER} is left out; the image stays with its other findings"
NO_FINDING = "no sub-finding in the table"


def eda_source(
    images: Path,
    table: Path,
    *,
    name: str | None = None,
    choice: Choice = Choice(),  # noqa: B008  (frozen: sharing it is safe)
    finding_column: str | None = None,
    include_normal: bool = False,
    keep_pacemaker: bool = False,
    encoding: str | None = None,
) -> Source:
    """Read a folder in the study's layout.

    Args:
        images: the folder of DICOM files (or images), searched recursively.
        table: rows of (image, sub-finding); several rows of one image are OR-ed into one.
        name: the dataset's name; `e-da` where None.
        choice: columns named by the user.
        finding_column: the column of sub-findings (or of `A|B` lists of them).
        include_normal: an eighth label `normal`, 1 where the table says so and no category is 1.
        keep_pacemaker: keep images with nothing but a pacemaker as all-zero rows.
        encoding: the table's encoding, where it isn't found out.

    Returns:
        The source with the labels `EDA7` (and `normal`), codes 1 and 0 only.

    Raises:
        UserError: the table or the folder can't be used so, or a sub-finding is unknown.
    """
    frame = read_table(table, encoding)
    rows = join_rows(frame, images, choice)
    column = _finding_column(frame, rows.taken, finding_column)
    found = [_categories(cell) for cell in frame[column]]
    rows.notes.append(f"sub-finding column: {column}")
    labels = (*EDA7, NORMAL) if include_normal else EDA7
    pile = _Pile(rows, found, labels, keep_pacemaker)
    records = records_of(rows, pile.codes)
    rejected = pile.dropped + refused(rows)
    return Source(
        name=name or "e-da",
        labels=labels,
        records=records,
        rejected=rejected,
        origin=f"table {printable(table.name)}",
        notes=(*rows.notes, *pile.notes()),
    )


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
