"""Reading the tables that people really have: any encoding, separator, compression; all as text."""

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from data_prep.errors import UserError
from data_prep.vocabulary import NIH14, canonical, is_normal, nearest

CODES = ("1", "0", "-1", "")
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# Values that may be shown in an error: none of them can identify a person.
_SHOWN = re.compile(
    r"yes|no|y|n|true|false|t|f|positive|negative|pos|neg|present|absent|unknown|uncertain|maybe|"
    r"nan|na|n/a|null|none|x|\+|-|\?|[+-]?\d{0,3}(\.\d{0,3})?",
    re.IGNORECASE,
)


def read_table(path: Path | str, encoding: str | None = None) -> pd.DataFrame:
    """Read a table as text, whatever program wrote it.

    UTF-8 and UTF-16 with or without a byte-order mark, Big5 (cp950) and cp1252 are told apart by
    their content; comma, semicolon and tab by the header; gzip by its first bytes.

    Args:
        path: a `.csv`, `.tsv` or `.csv.gz` file with one header line.
        encoding: its encoding, where it is none of the above (e.g. `gb18030`).

    Returns:
        A frame of stripped strings with a fresh index; a missing value is `""`, never NaN.

    Raises:
        UserError: not readable as a table, a column name twice, or rows of differing length.
    """
    path = Path(path)
    text = _decode(_read_bytes(path), path, encoding)
    rows = _split(text, path)
    if not rows:
        raise UserError(f"The table {path.name} is empty: it needs a header line and rows.")
    names, body = [name.strip() for name in rows[0]], rows[1:]
    names, body = _without_trailing_column(names, body)
    _check_names(names, path)
    _check_lengths(names, body, path)
    frame = pd.DataFrame([[value.strip() for value in row] for row in body], columns=names)
    return frame.astype(str)


def _read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise UserError(f"There is no table {path}. Check the path.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"The table {path} can't be read: {_reason(error)}.") from None
    if content[:4] == b"PK\x03\x04" or content[:4] == b"\xd0\xcf\x11\xe0":
        raise UserError(f"{path.name} is a spreadsheet or archive: save it as CSV (UTF-8) first.")
    return content


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _decode(content: bytes, path: Path, encoding: str | None) -> str:
    chosen = encoding or _encoding_of(content)
    try:
        text = content.decode(chosen)
    except LookupError:
        raise UserError(f"There is no encoding {chosen!r}. Try utf-8, big5 or gb18030.") from None
    except UnicodeError:
        raise UserError(
            f"{path.name} isn't {chosen} text. Save it as CSV in UTF-8, or name its encoding."
        ) from None
    if "\x00" in text:
        raise UserError(f"{path.name} holds zero bytes: it isn't a table. Save it as CSV in UTF-8.")
    return text.removeprefix("\ufeff")


def _encoding_of(content: bytes) -> str:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return encoding
    head = content[:4096]
    if head[1::2].count(0) > len(head) // 4:
        return "utf-16-le"
    if head[0::2].count(0) > len(head) // 4:
        return "utf-16-be"
    for encoding in ("utf-8", "cp950"):
        try:
            content.decode(encoding)
        except UnicodeError:
            continue
        if encoding == "utf-8" or _looks_like_big5(content):
            return encoding
    return "cp1252" if _decodes(content, "cp1252") else "latin-1"


def _decodes(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeError:
        return False
    return True


def _looks_like_big5(content: bytes) -> bool:
    """Accented Western text may be valid Big5 too; but real Chinese uses the frequent characters.

    Big5 puts punctuation and its 5,401 frequent characters under the lead bytes A1 to C6, the rare
    ones under C9 to F9, where cp1252 has its accented letters.
    """
    leads = [pair[0] for pair in re.findall(rb"[\x81-\xfe][\x40-\x7e\xa1-\xfe]", content)]
    return sum(0xA1 <= lead <= 0xC6 for lead in leads) > len(leads) / 2


def _split(text: str, path: Path) -> list[list[str]]:
    header = text.split("\n", 1)[0]
    outside_quotes = re.sub(r'"[^"]*"', "", header)
    separator = max(",\t;", key=outside_quotes.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error:
        raise UserError(
            f"{path.name} isn't a proper table: a quoted value is never closed, or is enormous."
        ) from None
    return [row for row in rows if any(value.strip() for value in row)]


def _without_trailing_column(
    names: list[str], body: list[list[str]]
) -> tuple[list[str], list[list[str]]]:
    """Drop nameless, empty last columns: what a comma at each line's end leaves.

    ChestX-ray14's first release has one.
    """
    while names and not names[-1] and all(len(r) < len(names) or not r[-1] for r in body):
        body = [row[:-1] if len(row) == len(names) else row for row in body]
        names = names[:-1]
    return names, body


def _check_names(names: list[str], path: Path) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        listed = ", ".join(repr(name) for name in twice)
        raise UserError(f"{path.name} has two columns of one name: {listed}. Rename one of each.")


def _check_lengths(names: list[str], body: list[list[str]], path: Path) -> None:
    for number, row in enumerate(body, start=1):
        if len(row) != len(names):
            raise UserError(
                f"{path.name}: data row {number} has {len(row)} values where the header has "
                f"{len(names)} names. Mend that row, or quote the separator inside its values."
            )


def parse_codes(frame: pd.DataFrame, columns: list[str] | None = None) -> pd.DataFrame:
    """Label columns as the four codes.

    Args:
        frame: a table of strings, as `read_table` gives it.
        columns: its label columns, in the order wanted; all of them where None.

    Returns:
        A frame of the same index with those columns, each value `"1"`, `"0"`, `"-1"` (uncertain) or
        `""` (not mentioned). `1.0`, `0.0` and the like are understood.

    Raises:
        UserError: a column is missing, or holds anything else.
    """
    columns = list(frame.columns) if columns is None else list(columns)
    for name in columns:
        if name not in frame.columns:
            raise UserError(f"The table has no column {name!r}. {nearest(name, frame.columns)}")
    coded = {name: _coded(frame[name], name) for name in columns}
    return pd.DataFrame(coded, index=frame.index, columns=columns)


def code_of(value: str) -> str | None:
    """The code that a cell holds (`1.0` is `"1"`, blank is `""`), or None where it holds none."""
    value = value.strip()
    if not value:
        return ""
    if re.fullmatch(r"[+-]?[01](\.0*)?", value):
        return str(int(float(value)))
    return None


def _coded(values: pd.Series, name: str) -> pd.Series:
    table = {value: code_of(value) for value in values.unique()}
    bad = values.map(lambda value: table[value] is None)
    if bad.any():
        first = int(bad.to_numpy().argmax())
        raise UserError(
            f"Label column {name!r} holds {_shown(values.iloc[first])} in data row {first + 1} "
            f"({int(bad.sum())} such rows); allowed are 1, 0, -1 (uncertain) and blank. "
            "Mend the table, or name the label columns."
        )
    return values.map(table)


def _shown(value: str) -> str:
    """The value, if a short number or a word like `yes`; other text may be a person's data."""
    if _SHOWN.fullmatch(value):
        return repr(value)
    return f"a text of {len(value)} characters"


def findings_to_codes(
    series: pd.Series, labels: list[str] | None = None
) -> tuple[list[str], pd.DataFrame]:
    """A column of findings such as `Cardiomegaly|Effusion` as codes.

    `No Finding`, `normal` and `正常` are the all-zero row; a blank cell is blank for every label.

    Args:
        series: one string per row, names separated by `|`.
        labels: the labels, in order; where None, those that occur (ChestX-ray14's own order if they
            are all of that set, otherwise alphabetical).

    Returns:
        The labels, and a frame of the series' index: a column of `"1"`, `"0"`, `""` per label.

    Raises:
        UserError: a finding is none of `labels` (compared through `canonical`), or none occurs.
    """
    cells = {cell: _names(cell) for cell in series.unique()}
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


def _names(cell: str) -> list[str]:
    return [name.strip() for name in cell.split("|") if name.strip()]


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
