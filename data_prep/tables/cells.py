"""CSV files that a spreadsheet can open: no name or label in them is taken for a formula.

A cell that begins with `=`, `+`, `-`, `@`, a tab or a line's end, and is no number, gets an
apostrophe before it, which spreadsheets hide and our readers take away again; so does one that
begins with apostrophes before such a character, so that every text reads back as it was.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import pandas as pd

TEXT = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
"""How to open a file for `write_rows`."""

_MARK = "'"
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def marked(cell: object) -> object:
    """A cell as it is to be written: text with its mark where it needs one, else itself."""
    return _MARK + cell if isinstance(cell, str) and _needs_mark(cell) else cell


def unmarked(cell: str) -> str:
    """The text that `marked` was given."""
    return cell[1:] if cell.startswith(_MARK) and _needs_mark(cell[1:]) else cell


def _needs_mark(text: str) -> bool:
    return bool(_FORMULA.match(text)) and not _NUMBER.fullmatch(text)


def write_rows(file: TextIO, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a header and rows as CSV."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(marked, header))
    writer.writerows(map(marked, row) for row in rows)


def rows_as_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The text of what `write_rows` writes."""
    text = io.StringIO()
    write_rows(text, header, rows)
    return text.getvalue()


def frame_as_csv(table: pd.DataFrame, float_format: str | None = None) -> str:
    """A frame without its index; floats as the shortest text that reads back equal, or as told."""
    texts = table.select_dtypes(exclude="number").columns
    safe = table.assign(**{name: table[name].map(marked) for name in texts})
    safe.columns = [marked(name) for name in safe.columns]
    return safe.to_csv(index=False, lineterminator="\n", float_format=float_format)
