"""Any folder of images or DICOM, and any table of their labels.

The table has one row per image, with 0/1 columns (1, 0, -1 uncertain, blank not mentioned; or
yes and no throughout) or one column of findings like 'Mass|Effusion'. Images are found by
relative path, file name, name without suffix or SOPInstanceUID. How each column was understood is
printed; every choice can be overridden.

Patients become keyed hashes, and DICOM images are named by keyed hashes. Files that aren't
DICOM keep their names: give --hash-names if those identify people. rejected.csv and duplicates.csv
contain original file names.

Examples:
  cxrkeras prep table --images films --labels labels.csv --out data/ours
  cxrkeras prep table --images films --labels l.csv --out data/ours \\
      --patient-column MRN --labels-from "Effusion,Nodule"
  cxrkeras prep table --images films --labels l.csv --out data/try --limit 500
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from data_prep.errors import UserError
from data_prep.filenames import printable
from data_prep.readers import TableReader
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.records import Source
from data_prep.readers.shared.rows import join_rows, merged, records_of, refused
from data_prep.registry import option
from data_prep.tables.columns import (
    findings_column,
    label_columns,
    named_column,
    named_findings,
    sure_of,
)
from data_prep.tables.table import (
    ALLOWED,
    findings_to_codes,
    parse_codes,
    read_table,
    says_yes_or_no,
    separator_of,
    shown,
)

if TYPE_CHECKING:
    import pandas as pd

_FEW = 3  # values of a column of labels
_OPTIONS = "--labels-from COLUMNS or --findings-column COLUMN"


class Part(TableReader):
    """Rows are matched to files by path, file name, stem or SOPInstanceUID (`FileIndex.find`).

    Several rows of one image are merged: a finding that any row asserts is asserted (1 over -1 over
    0 over blank). Label columns that aren't named are found by their values; without any, a column
    of findings is used. The source's notes say which column was taken for what.
    """

    labels: Path = option(
        ..., "CSV or TSV with one header line, or FILE.xlsx; FILE.xlsx:SHEET where it has several."
    )
    labels_from: tuple[str, ...] = option(
        (), "The label columns, separated by commas.", metavar="COLUMNS"
    )
    findings_column: str | None = option(None, "The column of findings like 'Mass|Effusion'.")

    def read(self, raw: Path, name: str) -> Source:
        """Read a folder and its table, see `Reader.read`."""
        frame = read_table(self.labels, self.encoding)
        rows = join_rows(frame, raw, self.columns)
        named = list(self.labels_from)
        labels, codes, note = _labels(frame, rows.taken, named, self.findings_column)
        rows.notes.append(note)
        values = codes.to_numpy()
        records = records_of(rows, lambda numbers: merged(values[numbers]))
        rejected = refused(rows)
        return Source(
            name=name,
            labels=tuple(labels),
            records=records,
            rejected=rejected,
            origin=f"table {printable(self.labels.name)}",
            citation=self.citation,
            notes=tuple(rows.notes),
        )

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """Four films of two patients with two labels, see `Reader.example`."""
        rows = [["image", "patient", "Mass", "Nodule"]]
        for number in range(4):
            write_film(folder / "films" / f"f{number}.png", number)
            rows.append([f"f{number}.png", f"P{number // 2}", number % 2, ("", -1)[number % 2]])
        return folder / "films", cls(labels=write_table(folder / "labels.csv", rows))


def _labels(
    frame: pd.DataFrame, taken: set[str], labels_from: list[str], findings: str | None
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
            f"no throughout.{_likely(frame, taken)} Columns are named by {_OPTIONS}."
        )
    return _from_findings(frame, column, taken)


def _likely(frame: pd.DataFrame, taken: set[str]) -> str:
    """What the column holds that is most like one of labels: few values, best of known words."""
    values = {column: sorted(set(frame[column]) - {""}) for column in frame if column not in taken}
    few = [(column, held) for column, held in values.items() if 0 < len(held) <= _FEW]
    if not few:
        return ""
    column, held = min(few, key=lambda one: any(shown(value) != repr(value) for value in one[1]))
    received = " and ".join(map(shown, held))
    return f" Column {column!r} holds {received}; {ALLOWED}. Mend that, or name others."


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
