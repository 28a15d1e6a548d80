"""What the columns of a person's table mean, and what their values say."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from data_prep.errors import UserError
from data_prep.tables.table import code_of, says_yes_or_no
from data_prep.tables.vocabulary import ARCHIVE_FINDINGS, canonical, is_normal, nearest

if TYPE_CHECKING:
    import pandas as pd

USUAL = {
    "patient": "patient id|patient|patientid|patient identifier|pid|subject|subject id|mrn|病歷號",
    "study": "study instance uid|studyinstanceuid|study uid|study|study id|accession number",
    "sex": "sex|gender|patient sex|patient gender|patientsex|patientgender|性別",
    "age": "age|patient age|patientage|年齡",
    "view": "view position|viewposition|view|projection|ap/pa",
    "split": "split",
}
FINDINGS = (
    "finding labels|findings|finding|labels|label|subcategory|sub finding|subfinding|"
    "diagnosis|diagnoses|category|disease|病灶|診斷"
)
_NO_LABEL = re.compile(r"#|\b(id|index|number|row|unnamed|fold|set|date|year|count)\b|^no\.?$")
OLDEST = 100.0  # ages above are typing errors in ChestX-ray14 (its first release has 414 years)


def named_column(frame: pd.DataFrame, name: str, option: str) -> str:
    """`name`, if the table has such a column.

    Raises:
        UserError: it hasn't; the line gives the option that asked for it and the nearest names, of
            columns that don't hold labels.
    """
    if name not in frame.columns:
        labels = set(label_columns(frame, set()))
        others = [column for column in frame.columns if column not in labels]
        near = nearest(name, others or frame.columns)
        raise UserError(f"The table has no column {name!r} ({option}). {near}")
    return name


def role_column(frame: pd.DataFrame, role: str, named: str | None, taken: set[str]) -> str | None:
    """The column of a role of `USUAL`: the one that the user named, or else one named as usual.

    Raises:
        UserError: the named column isn't there.
    """
    if named:
        return named_column(frame, named, f"--{role}-column")
    return usual_column(frame, USUAL[role], taken)


def usual_column(frame: pd.DataFrame, names: str, taken: set[str]) -> str | None:
    """The first column that has one of the usual names (`a|b|c`, in order of preference)."""
    present = {_plain(column): column for column in reversed(frame.columns) if column not in taken}
    return next((present[name] for name in names.split("|") if name in present), None)


def _plain(column: str) -> str:
    return re.sub(r"[\s_\-]+", " ", column).strip().casefold()


def label_columns(frame: pd.DataFrame, taken: set[str]) -> list[str]:
    """The columns that hold labels, in the table's order.

    A column counts if at least half of its values are codes, if all are words like `yes`, or if it
    is named as a finding of ChestX-ray14 or CheXpert: a stray `2` must become an error, not make
    the label vanish. `No Finding` is no label: it is the all-zero row.
    """
    columns = [column for column in frame.columns if column not in taken]
    return [column for column in columns if _holds_labels(frame[column].tolist(), column)]


def _holds_labels(values: list[str], name: str) -> bool:
    if not name or is_normal(name) or _NO_LABEL.search(_plain(name)):
        return False
    if canonical(name) in ARCHIVE_FINDINGS:
        return True
    counts = Counter(filter(None, values))
    codes = sum(n for value, n in counts.items() if code_of(value) is not None)
    return len(counts) > 0 and (codes * 2 >= counts.total() or says_yes_or_no(counts))


def sure_of(columns: list[str], frame: pd.DataFrame) -> list[str]:
    """Of label columns those that are nothing else: codes throughout, or named as a known finding.

    Beside a column of findings others are mostly something else: days, `survival` with Y and N.
    """
    return [
        column
        for column in columns
        if canonical(column) in ARCHIVE_FINDINGS
        or all(code_of(value) is not None for value in set(frame[column]))
    ]


def named_findings(frame: pd.DataFrame, taken: set[str]) -> str | None:
    """The column that has a usual name of one of findings, unless it holds codes."""
    found = usual_column(frame, FINDINGS, taken)
    return None if found is None or _holds_labels(frame[found].tolist(), found) else found


def findings_column(frame: pd.DataFrame, taken: set[str]) -> str | None:
    """The column of findings: by its usual name, or else the first with an `A|B` value."""
    found = usual_column(frame, FINDINGS, taken)
    if found:
        return found
    columns = (column for column in frame.columns if column not in taken)
    return next((c for c in columns if any("|" in cell for cell in set(frame[c]))), None)


def sex_of(text: str) -> str | None:
    """`F` or `M` from what tables write, or None."""
    first = text.strip().casefold()
    if first in ("f", "female", "woman", "w", "女"):
        return "F"
    return "M" if first in ("m", "male", "man", "男") else None


def age_of(text: str) -> float | None:
    """Years from `61`, `61.0`, `058Y`, `006M`, `010D`; None where it is no age from 0 to 100."""
    match = re.fullmatch(r"(\d{1,4}(?:\.\d+)?)\s*([ymwd]?)", text.strip().casefold())
    if not match:
        return None
    per_year = {"m": 12.0, "w": 365.25 / 7, "d": 365.25}.get(match.group(2), 1.0)
    return plausible_age(float(match.group(1)) / per_year)


def plausible_age(years: float | None) -> float | None:
    """`years`, rounded to hundredths, or None where it isn't from 0 to 100."""
    return round(years, 2) if years is not None and 0 <= years <= OLDEST else None
