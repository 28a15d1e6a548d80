"""What a model is told of each film beside the picture: from its DICOM header, or from a table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cxrkeras.data.inputs import UNKNOWN, as_numbers
from data_prep.errors import UserError
from data_prep.films.header import Header
from data_prep.say import say
from data_prep.tables.columns import USUAL, age_of, role_column, sex_of, usual_column
from data_prep.tables.matching import NamedFiles
from data_prep.tables.table import read_table

Told = Mapping[str, str]
"""{input: the cell}, as a manifest has it; "" or missing where unknown. A person's data: they go
into the model, and into no message."""

_FILES = "image|file|file name|filename|image index|image id|path|dicom"
_HEADER = {"study": "study_uid", "patient": "patient_id"}
_READ = {"age": age_of, "sex": sex_of}


def of_header(header: Header | None, names: Sequence[str]) -> dict[str, str]:
    """The wanted inputs that a header tells."""
    found = {name: getattr(header, _HEADER.get(name, name), None) for name in names}
    return {name: str(value) for name, value in found.items() if value is not None}


def of_table(path: Path, files: Sequence[Path], names: Sequence[str]) -> list[dict[str, str]]:
    """The wanted inputs that a table tells of each file.

    Args:
        path: a table with a column of files (`image`, `file`, …; paths, names, or names without
            their ending) and any of age, sex and view, by the names that `cxrkeras prep` knows.
        files: the films; a row may be of none.
        names: the wanted inputs.

    Returns:
        For each file what its row says, without what isn't known.

    Raises:
        UserError: the table can't be read, has none of these columns or names no film; a row's name
            fits several films, or rows of one film differ.
    """
    table = read_table(path)
    places = usual_column(table, _FILES, set())
    if places is None:
        raise UserError(
            f"--table {path.name} needs a column `image` or `file` with the films' names. "
            f"Received {len(table.columns)} other columns. Name it so."
        )
    columns = {name: role_column(table, name, None, {places}) for name in names if name in USUAL}
    columns = {name: column for name, column in columns.items() if column is not None}
    if not columns:
        raise UserError(
            f"--table {path.name} needs a column for what the model takes: {', '.join(names)}. "
            "None has such a name. Name it so, or leave --table out."
        )
    told = _matched(table, places, columns, NamedFiles(files))
    if not told:
        raise UserError(
            f"--table {path.name} names none of the {len(files)} films in its column of files. "
            "Give their names or paths there."
        )
    return [told.get(number, {}) for number in range(len(files))]


def _matched(table, places: str, columns: Mapping[str, str], index: NamedFiles) -> dict:
    told: dict[int, dict[str, str]] = {}
    cells = [table[column].tolist() for column in (places, *columns.values())]
    for row, (file, *values) in enumerate(zip(*cells, strict=True), start=1):
        for number in index.find(file, f"--table: data row {row}"):
            pairs = zip(columns, values, strict=True)
            found = {name: cell for name, text in pairs if (cell := _cell(name, text))}
            if told.setdefault(number, found) != found:
                raise UserError(
                    f"--table: data row {row} says something else of a film than a row before it. "
                    "Leave one row per film."
                )
    return told


def _cell(name: str, text: str) -> str:
    """As a manifest has it; "" for what isn't understood."""
    read = _READ.get(name, str)
    value = read(text)
    return "" if value is None else str(value)


def as_arrays(told: Sequence[Told], names: Sequence[str]) -> dict[str, np.ndarray]:
    """{input: (N, 1) float32} of N films."""
    return {name: as_numbers(name, (one.get(name, "") for one in told)) for name in names}


def unknown_in(told: Told, names: Sequence[str]) -> list[str]:
    """The inputs that aren't known of a film."""
    arrays = as_arrays([told], names)
    return [name for name in names if arrays[name].item() == UNKNOWN]


class Unknown:
    """Counts what isn't known of films, and says it in one line."""

    def __init__(self, names: Sequence[str]):
        self._names, self._films, self._counts = names, 0, Counter[str]()

    def add(self, told: Told) -> None:
        """Count one film."""
        self._films += 1
        self._counts.update(unknown_in(told, self._names))

    def say(self) -> None:
        """`Warning: age unknown for 3 of 10 films.`; nothing where all is known."""
        parts = [
            f"{name} unknown for {self._counts[name]:,} of {self._films:,} films"
            for name in self._names
            if self._counts[name]
        ]
        if parts:
            say(f"Warning: {', '.join(parts)}: the model answers without that.")
