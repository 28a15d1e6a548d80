"""Any folder of images or DICOM, and any table with 0/1 columns or a column of `A|B` findings."""

from pathlib import Path

import pandas as pd

from data_prep.errors import UserError
from data_prep.filenames import printable
from data_prep.readers.records import Source
from data_prep.readers.rows import Choice, join_rows, merged, records_of, refused
from data_prep.tables.columns import (
    findings_column,
    label_columns,
    named_column,
    named_findings,
    sure_of,
)
from data_prep.tables.table import (
    findings_to_codes,
    parse_codes,
    read_table,
    says_yes_or_no,
    separator_of,
)

_OPTIONS = "--labels-from COLUMNS or --findings-column COLUMN"


def table_source(
    images: Path,
    table: Path,
    *,
    name: str | None = None,
    choice: Choice = Choice(),  # noqa: B008  (frozen: sharing it is safe)
    labels_from: list[str] | None = None,
    findings: str | None = None,
    encoding: str | None = None,
) -> Source:
    """Read a folder and its table.

    Rows are matched to files by path, file name, stem or SOPInstanceUID (`FileIndex.find`).
    Several rows of one image are merged: a finding that any row asserts is asserted (1 over -1 over
    0 over blank).

    Args:
        images: the folder, searched recursively.
        table: the table; see `read_table`.
        name: the dataset's name; the folder's where None.
        choice: columns named by the user.
        labels_from: the 0/1 columns; found by their values where None.
        findings: the column of `A|B` findings; used where there are no 0/1 columns.
        encoding: the table's encoding, where it isn't found out.

    Returns:
        The source; its notes say which column was taken for what.

    Raises:
        UserError: the table or the folder can't be used so.
    """
    frame = read_table(table, encoding)
    rows = join_rows(frame, images, choice)
    labels, codes, note = _labels(frame, rows.taken, labels_from, findings)
    rows.notes.append(note)
    values = codes.to_numpy()
    records = records_of(rows, lambda numbers: merged(values[numbers]))
    rejected = refused(rows)
    return Source(
        name=name or rows.index.root.name,
        labels=tuple(labels),
        records=records,
        rejected=rejected,
        origin=f"table {printable(table.name)}",
        notes=tuple(rows.notes),
    )


def _labels(
    frame: pd.DataFrame, taken: set[str], labels_from: list[str] | None, findings: str | None
) -> tuple[list[str], pd.DataFrame, str]:
    if findings:
        named = named_column(frame, findings, "--findings-column")
        return _from_findings(frame, named, taken)
    columns = labels_from or label_columns(frame, taken)
    named = named_findings(frame, taken)
    if named and not labels_from:
        columns = sure_of(columns, frame)
    if columns:
        return _from_columns(frame, columns, taken)
    column = named or findings_column(frame, taken)
    if column is None:
        raise UserError(
            "The table has neither 0/1 columns nor one of findings like `A|B`, nor one of yes and "
            f"no throughout. Name them with {_OPTIONS}."
        )
    return _from_findings(frame, column, taken)


def _from_columns(
    frame: pd.DataFrame, columns: list[str], taken: set[str]
) -> tuple[list[str], pd.DataFrame, str]:
    if overlap := [column for column in columns if column in taken]:
        raise UserError(
            f"Column {overlap[0]!r} can't be a label: it is the image, patient, study, sex, "
            "age, view or split column. Name other label columns with --labels-from."
        )
    codes = parse_codes(frame, columns, advice=f"Mend it, or name other columns: {_OPTIONS}.")
    words = [column for column in columns if says_yes_or_no(frame[column])]
    said = f"; yes and no are read as 1 and 0: {', '.join(words)}" if words else ""
    note = "labels: " + ", ".join(columns) + said + _ignored(frame, taken | set(columns))
    return list(columns), codes, note


def _from_findings(
    frame: pd.DataFrame, column: str, taken: set[str]
) -> tuple[list[str], pd.DataFrame, str]:
    labels, codes = findings_to_codes(frame[column])
    blank = int((frame[column] == "").sum())
    note = f"labels: {', '.join(labels)} (from column {column})" + _lists(frame[column])
    note += f"; {blank} rows blank: not mentioned" if blank else ""
    return labels, codes, note + _ignored(frame, taken | {column})


def _lists(cells: pd.Series) -> str:
    """What was made of commas and semicolons in the names of findings."""
    separator = separator_of(cells)
    if separator != "|":
        count = int(cells.str.contains(separator, regex=False).sum())
        return f"; {count} rows list several, separated by {separator!r}"
    whole = int(cells.str.contains("[,;]").sum())
    return f"; {whole} rows have a comma or semicolon within a name: not split" if whole else ""


def _ignored(frame: pd.DataFrame, used: set[str]) -> str:
    left = [column for column in frame.columns if column not in used]
    return f" (columns not used: {', '.join(left)}; to use others: {_OPTIONS})" if left else ""
