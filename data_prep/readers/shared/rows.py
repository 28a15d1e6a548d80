"""Rows of a table joined to the files they name: what every reader of a table shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.errors import UserError
from data_prep.readers.shared.records import Record
from data_prep.tables.columns import USUAL, age_of, named_column, role_column, sex_of
from data_prep.tables.matching import FileIndex

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

NOT_FOUND = "file not found"
NO_ROW = "no row in the table"
ESCAPES = "a link that leads out of the image folder"
LISTED = 1000  # more files without a row, or rows without a file, are counted instead
STRENGTH = {"1": 3, "-1": 2, "0": 1, "": 0}
"""Which of several codes stands for them all: the highest."""


@dataclass
class Rows:
    """A table whose rows know their files.

    Attributes:
        frame: the table.
        columns: role (`image`, `patient`, ...) -> column, for the roles that the table has.
        keys: the file of each row, or None.
        missing: the cells that name no file, each once.
        notes: what was understood.
    """

    frame: pd.DataFrame
    index: FileIndex
    columns: dict[str, str]
    keys: list[str | None]
    missing: list[str]
    notes: list[str] = field(default_factory=list)

    @property
    def taken(self) -> set[str]:
        """The columns that have a role already."""
        return set(self.columns.values())

    def groups(self) -> dict[str, list[int]]:
        """File -> its row numbers, in the table's order."""
        groups: dict[str, list[int]] = {}
        for number, key in enumerate(self.keys):
            if key is not None:
                groups.setdefault(key, []).append(number)
        return groups


def join_rows(frame: pd.DataFrame, images: Path, named: Mapping[str, str | None]) -> Rows:
    """Find the files that a table's rows name, and the columns about patients.

    Args:
        frame: the table.
        images: the folder of films.
        named: role (`image`, `patient`, ...) -> column; one that is None is found by itself.

    Raises:
        UserError: a named column is missing, no row names a file, or a row names one outside.
    """
    if frame.empty:
        raise UserError("The table has a header but no rows: there is nothing to prepare.")
    index = FileIndex(images)
    columns = {"image": _image_column(frame, index, named["image"])}
    for role in USUAL:
        if found := role_column(frame, role, named[role], set(columns.values())):
            columns[role] = found
    rows = link_rows(frame, index, columns)
    _describe(rows)
    return rows


def link_rows(frame: pd.DataFrame, index: FileIndex, columns: dict[str, str]) -> Rows:
    """Find the files that the cells of the `image` column name.

    Raises:
        UserError: a cell names a file outside the folder, or several files answer to it.
    """
    cells = frame[columns["image"]].tolist()
    found: dict[str, str | None] = {}
    for number, cell in enumerate(cells, start=1):
        if cell not in found:
            found[cell] = index.find(cell, f"Data row {number}")
    keys = [found[cell] for cell in cells]
    return Rows(frame, index, columns, keys, [cell for cell, key in found.items() if key is None])


def _image_column(frame: pd.DataFrame, index: FileIndex, named: str | None) -> str:
    columns = [named_column(frame, named, "--image-column")] if named else list(frame.columns)
    matched = {column: _matches(frame[column], index) for column in columns}
    best = max(columns, key=lambda column: matched[column])
    if not matched[best]:
        where = f"Column {named!r}" if named else "No column of the table"
        raise UserError(
            f"{where} names {'no' if named else 'a'} file among the {len(index.keys)} images below "
            f"{index.root}. Check --images, or name the column with --image-column."
        )
    return best


def _matches(values: pd.Series, index: FileIndex) -> int:
    """How many rows name a file; one that leads out counts: it is to be refused, not ignored."""
    count = 0
    for value, rows in Counter(values.tolist()).items():
        try:
            count += rows if value and index.find(value, "") else 0
        except UserError:
            count += rows if "/" in value or "\\" in value else 0
    return count


def _describe(rows: Rows) -> None:
    matched = sum(key is not None for key in rows.keys)
    rows.notes.append(
        f"image column: {rows.columns['image']} ({matched} of {len(rows.keys)} rows name a file)"
    )
    rows.notes += [f"{role} column: {rows.columns[role]}" for role in USUAL if role in rows.columns]
    repeated = matched - len(rows.groups())
    if repeated:
        rows.notes.append(f"{repeated} rows repeat an image: merged into its one row")


def merged(codes: np.ndarray) -> tuple[str, ...]:
    """The codes of one image from those of its rows, (rows, labels): 1 over -1 over 0 over blank.

    A finding that any row asserts is asserted.
    """
    if len(codes) == 1:
        return tuple(codes[0])
    return tuple(max(column, key=STRENGTH.__getitem__) for column in codes.T)


def records_of(
    rows: Rows, codes: Callable[[list[int]], tuple[str, ...] | None], *, own_names: bool = False
) -> list[Record]:
    """One record per file.

    Args:
        rows: the joined table.
        codes: gives a file's codes from the numbers of its rows; None leaves the file out.
        own_names: the table's name of an image is its identity, wherever its file lies.
    """
    troubles: Counter[str] = Counter()
    columns = {role: rows.frame[name].tolist() for role, name in rows.columns.items()}
    records = []
    for file, numbers in rows.groups().items():
        labels = codes(numbers)
        if labels is None:
            continue
        cells = {role: _cell(columns.get(role), role, numbers, troubles) for role in USUAL}
        record = Record(
            path=rows.index.path(file),
            key=columns["image"][numbers[0]] if own_names else file,
            codes=labels,
            patient=cells["patient"],
            study=cells["study"],
            view=cells["view"],
            sex=_understood(sex_of, cells["sex"], "sex", troubles),
            age=_understood(age_of, cells["age"], "age", troubles),
            split=cells["split"] or "",
        )
        records.append(record)
    rows.notes += [f"{text} ({count} images)" for text, count in sorted(troubles.items())]
    return records


def _cell(
    column: list[str] | None, role: str, numbers: list[int], troubles: Counter[str]
) -> str | None:
    """The first value that the rows of one file give."""
    if column is None:
        return None
    values = dict.fromkeys(column[number] for number in numbers)
    values.pop("", None)
    if len(values) > 1:
        troubles[f"rows of one image differ in {role}: the first is kept"] += 1
    return next(iter(values), None)


def _understood(read: Callable, text: str | None, role: str, troubles: Counter[str]):
    if text is None:
        return None
    value = read(text)
    if value is None:
        rule = "not an age from 0 to 100" if role == "age" else "neither female nor male"
        troubles[f"{role}: {rule}, left blank"] += 1
    return value


def refused(rows: Rows, others: bool = True) -> list[tuple[str, str]]:
    """What the join itself refuses: rows without a file, then (`others`) files without a row.

    More than `LISTED` of either are a partial download, or a table of a part: a note counts them,
    and the list keeps its use.
    """
    wanted = set(rows.keys)
    missing = [(cell or "(blank)", NOT_FOUND) for cell in rows.missing]
    lone = [(key, NO_ROW) for key in rows.index.keys if others and key not in wanted]
    links = [(key, ESCAPES) for key in sorted(rows.index.escapes)]
    text = "images of the table aren't here (a partial download?)"
    return _listed(rows, missing, text) + _listed(rows, lone, f"files have {NO_ROW}") + links


def _listed(rows: Rows, files: list[tuple[str, str]], text: str) -> list[tuple[str, str]]:
    if len(files) <= LISTED:
        return files
    rows.notes.append(f"{len(files):,} {text}: too many to list in rejected.csv")
    return []
