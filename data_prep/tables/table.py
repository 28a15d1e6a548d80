"""Reading the tables that people really have: any encoding, separator, compression; all as text."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.errors import UserError
from data_prep.tables.cells import unmarked
from data_prep.tables.textfile import read_text
from data_prep.tables.vocabulary import ARCHIVE_FINDINGS, NIH14, canonical, is_normal, nearest
from data_prep.tables.workbook import is_workbook, read_workbook, sheet_of

if TYPE_CHECKING:
    import pandas as pd

CODES = ("1", "0", "-1", "")
YES_NO = dict.fromkeys(("yes", "y", "true", "t", "positive"), "1") | dict.fromkeys(
    ("no", "n", "false", "f", "negative"), "0"
)
ALLOWED = "allowed are 1, 0, -1 (uncertain) and blank, or yes and no throughout"
MEND = "Mend the table, or name the label columns."
MOST_VALUES = 50_000_000  # of a table; CheXpert's has 4 million
_ROW = 8  # values that a row counts for: what it takes besides them
_SHORT = 12  # characters; longer cells are mostly names, each of them once
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
# Values that may be shown in an error: none of them can identify a person.
_SHOWN = re.compile(
    r"ja|nein|nee|nej|oui|non|sí|não|是|否|有|無|陽性|陰性|"
    r"positiv|negativ|positif|négatif|positivo|negativo|"
    r"yes|no|y|n|true|false|t|f|positive|negative|pos|neg|present|absent|unknown|unclear|uncertain|maybe|"
    r"nan|na|n/a|null|none|x|\+|-|\?|[+-]?\d{0,3}(\.\d{0,3})?",
    re.IGNORECASE,
)


def read_table(path: Path | str, encoding: str | None = None) -> pd.DataFrame:
    """Read a table as text, whatever program wrote it.

    UTF-8 and UTF-16 with or without a byte-order mark, Big5 (cp950) and cp1252 are told apart by
    their content; comma, semicolon and tab by the header; gzip by its first bytes. What `cells`
    marked, as other programs do too, is read without its mark.

    Args:
        path: a `.csv`, `.tsv` or `.csv.gz` file with one header line; or an Excel workbook,
            `FILE.xlsx` or `FILE.xlsx:SHEET`.
        encoding: its encoding, where it is none of the above (e.g. `gb18030`).

    Returns:
        A frame of stripped strings with a fresh index; a missing value is `""`, never NaN.

    Raises:
        UserError: not readable as a table, a column name twice, or rows of differing length.
    """
    import pandas as pd

    path, sheet = sheet_of(Path(path))
    if is_workbook(path):
        cells = read_workbook(path, sheet, MOST_VALUES)
        rows = [[unmarked(cell) if "'" in cell else cell for cell in row] for row in cells]
    else:
        rows = _split(read_text(path, encoding), path)
    if not rows:
        raise UserError(f"The table {path.name} is empty: it needs a header line and rows.")
    names, body = rows[0], rows[1:]
    names, body = _without_trailing_column(names, body)
    _check_names(names, path)
    _check_lengths(names, body, path)
    return pd.DataFrame(body, columns=names).astype(str)


def _split(text: str, path: Path) -> list[list[str]]:
    header = text.split("\n", 1)[0]
    outside_quotes = re.sub(r'"[^"]*"', "", header)
    separator = max(",\t;", key=outside_quotes.count)
    kept: dict[str, str] = {}  # a code that stands in a million cells needs one string only
    rows, room = [], MOST_VALUES
    try:
        for row in csv.reader(_lines(text), delimiter=separator, strict=True):
            room -= len(row) + _ROW
            if room < 0:
                raise UserError(
                    f"{path.name} holds more than {MOST_VALUES // 1_000_000} million values (and "
                    f"{_ROW} for each row): the most that is read. Leave out columns, or divide it."
                )
            cells = [unmarked(cell.strip()) if "'" in cell else cell.strip() for cell in row]
            if any(cells):
                rows.append([kept.setdefault(c, c) if len(c) < _SHORT else c for c in cells])
    except csv.Error:
        raise UserError(
            f"{path.name} isn't a proper table: a quoted value is never closed, or is enormous."
        ) from None
    return rows


def _lines(text: str) -> Iterator[str]:
    """The lines with their ends, one after the other: a whole archive's table is large."""
    return (match.group() for match in _LINE.finditer(text))


def _without_trailing_column(
    names: list[str], body: list[list[str]]
) -> tuple[list[str], list[list[str]]]:
    """Drop nameless, empty last columns: what a comma at each line's end leaves.

    ChestX-ray14's first release has one.
    """
    if not names or names[-1]:
        return names, body
    width = max(_filled(row) for row in (names, *body))
    return names[:width], [row[:width] if len(row) <= len(names) else row for row in body]


def _filled(row: list[str]) -> int:
    """How many cells a row has up to the last that isn't blank."""
    return next((number for number in range(len(row), 0, -1) if row[number - 1]), 0)


def _check_names(names: list[str], path: Path) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        listed = ", ".join(repr(name) for name in twice[:8]) + ", ..." * (len(twice) > 8)
        raise UserError(f"{path.name} has two columns of one name: {listed}. Rename one of each.")


def _check_lengths(names: list[str], body: list[list[str]], path: Path) -> None:
    for number, row in enumerate(body, start=1):
        if len(row) != len(names):
            raise UserError(
                f"{path.name}: data row {number} has {len(row)} values where the header has "
                f"{len(names)} names. Mend that row, or quote the separator inside its values."
            )


def parse_codes(
    frame: pd.DataFrame, columns: list[str] | None = None, *, advice: str = MEND
) -> pd.DataFrame:
    """Label columns as the four codes.

    Args:
        frame: a table of strings, as `read_table` gives it.
        columns: its label columns, in the order wanted; all of them if None.
        advice: what to do about another value.

    Returns:
        A frame of the same index with those columns, each value `"1"`, `"0"`, `"-1"` (uncertain) or
        `""` (not mentioned). `1.0`, `0.0` and the like are understood, and words like `yes` and `N`
        where a whole column is of them (`says_yes_or_no`).

    Raises:
        UserError: a column is missing, or holds anything else.
    """
    import pandas as pd

    columns = list(frame.columns) if columns is None else list(columns)
    for name in columns:
        if name not in frame.columns:
            raise UserError(f"The table has no column {name!r}. {nearest(name, frame.columns)}")
    coded = {name: _coded(frame[name].tolist(), name, advice) for name in columns}
    return pd.DataFrame(coded, index=frame.index, columns=columns)


def code_of(value: str) -> str | None:
    """The code that a cell holds (`1.0` is `"1"`, blank is `""`), or None where it holds none."""
    value = value.strip()
    if not value:
        return ""
    if re.fullmatch(r"[+-]?[01](\.0*)?", value):
        return str(int(float(value)))
    return None


def says_yes_or_no(values: Iterable[str]) -> bool:
    """Whether a column says something, and nothing but `yes`, `no` and the like (`YES_NO`)."""
    said = set(values) - {""}
    return bool(said) and all(value.casefold() in YES_NO for value in said)


def _coded(values: list[str], name: str, advice: str) -> list[str]:
    coded = any(value and code_of(value) is not None for value in set(values))
    said = {} if coded else YES_NO
    table = {value: said.get(value.casefold(), code_of(value)) for value in set(values)}
    bad = [number for number, value in enumerate(values) if table[value] is None]
    if bad:
        raise UserError(
            f"Label column {name!r} holds {shown(values[bad[0]])} in data row {bad[0] + 1} "
            f"({len(bad)} such rows); {ALLOWED}. {advice}"
        )
    return [table[value] for value in values]


def shown(value: str) -> str:
    """The value, if a short number or a word like `yes`; other text may be a person's data."""
    if _SHOWN.fullmatch(value):
        return repr(value)
    return f"a text of {len(value)} characters"


def findings_to_codes(
    series: pd.Series, labels: list[str] | None = None
) -> tuple[list[str], pd.DataFrame]:
    """A column of findings such as `Cardiomegaly|Effusion` as codes.

    Between the names stands `|`, or else what `separator_of` finds.

    `No Finding`, `normal` and `正常` are the all-zero row; a blank cell is blank for every label.

    Args:
        series: one string per row.
        labels: the labels, in order; if None, those that occur (ChestX-ray14's own order if they
            are all of that set, otherwise alphabetical).

    Returns:
        The labels, and a frame of the series' index: a column of `"1"`, `"0"`, `""` per label.

    Raises:
        UserError: a finding is none of `labels` (compared through `canonical`), or none occurs.
    """
    import pandas as pd

    separator = separator_of(series)
    cells = {cell: _names(cell, separator) for cell in series.unique()}
    found = {name for names in cells.values() for name in names if not is_normal(name)}
    labels = _ordered(found) if labels is None else list(labels)
    if not labels:
        raise UserError(f"Column {series.name!r} names no finding at all: choose another column.")
    place = {canonical(label): number for number, label in enumerate(labels)}
    check_known(found, lambda name: canonical(name) in place, labels, str(series.name))
    coded = {cell: _row(names, place) for cell, names in cells.items()}
    rows = [coded[cell] for cell in series]
    return labels, pd.DataFrame(rows, index=series.index, columns=labels)


def check_known(
    names: Iterable[str], known: Callable[[str], bool], labels: Iterable[str], column: str
) -> None:
    """Refuse findings that are none of the known ones.

    Args:
        names: the findings that occur in the column.
        known: says whether a finding is known.
        labels: the known names, for the suggestion.
        column: the column's name.

    Raises:
        UserError: some is unknown. A name is shown only where most others are known: otherwise the
            column may be the wrong one, and hold patients' names.
    """
    names = sorted(names)
    unknown = [name for name in names if not known(name)]
    if len(unknown) > max(1, len(names) / 2):
        raise UserError(
            f"Column {column!r} isn't one of findings: {len(unknown)} of its {len(names)} "
            "different values are unknown. Name the column of findings, or mend its spelling."
        )
    if unknown:
        advice = nearest(unknown[0], labels)
        raise UserError(f"Unknown finding {unknown[0]!r} in column {column!r}. {advice}")


def separator_of(series: pd.Series) -> str:
    """What separates names of findings in a column: `|`, or `;` or `,` where it makes lists.

    It does where a part of some cell stands alone in another, or is a known finding: `COVID-19,
    ARDS` beside `COVID-19` is two findings, while `opacity, left lung` alone is one.
    """
    cells = series.unique().tolist()
    known = ARCHIVE_FINDINGS | {canonical(cell) for cell in cells}
    for separator in "|;,":
        parts = [name for cell in cells if separator in cell for name in _names(cell, separator)]
        if (separator == "|" and parts) or any(canonical(part) in known for part in parts):
            return separator
    return "|"


def _names(cell: str, separator: str) -> list[str]:
    return [name.strip() for name in cell.split(separator) if name.strip()]


def _row(names: list[str], place: dict[str, int]) -> tuple[str, ...]:
    if not names:
        return ("",) * len(place)
    positive = {place[canonical(name)] for name in names if not is_normal(name)}
    return tuple("1" if number in positive else "0" for number in range(len(place)))


def _ordered(found: set[str]) -> list[str]:
    by_meaning = {canonical(name): name for name in sorted(found, reverse=True)}
    if set(by_meaning) <= set(NIH14):
        return [by_meaning[name] for name in NIH14 if name in by_meaning]
    return sorted(by_meaning.values())
