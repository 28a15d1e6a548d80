"""The patient of each row of two joined tables, under a pseudonym."""

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from cxrkeras.evaluation.tables.examinations import places
from data_prep.tables.columns import named_column, role_column


class Whose(NamedTuple):
    """Which column identifies the patients of the joined rows.

    Attributes:
        side: `predictions` or `labels`, the table that tells them.
        column: the column of that table.
        values: the patient of each of the table's rows, `""` where unknown.
    """

    side: str
    column: str
    values: pd.Series


def whose(
    scores: pd.DataFrame, truth: pd.DataFrame, named: str | None, key: str | None
) -> Whose | None:
    """Find the patients as `cxrkeras prep` does.

    Args:
        scores: the predictions.
        truth: the labels.
        named: the column that the user named; the labels have it, or else the predictions.
        key: the labels' column that names the images, if known already: a path of CheXpert tells
            whose film it is.

    Returns:
        A column with one of the usual names, of the labels or else of the predictions, or else the
        patients in CheXpert's paths; None if there is none.

    Raises:
        UserError: neither table has the named column.
    """
    tables = {"labels": truth, "predictions": scores}
    if named:
        side = "predictions" if named in scores and named not in truth else "labels"
        column = named_column(tables[side], named, "--patient-column")
        return Whose(side, column, tables[side][column])
    for side, table in tables.items():
        column = role_column(table, "patient", None, set())
        if column and (table[column] != "").any():
            return Whose(side, column, table[column])
    for column in dict.fromkeys([key or truth.columns[0], *truth.columns]):
        if found := places(truth[column]):
            values = pd.Series([place.patient for place in found], truth.index)
            return Whose("labels", column, values)
    return None


def pseudonyms(values: pd.Series, code: Callable[[str], str]) -> tuple[str, ...]:
    """`code` of every patient, reckoned once for each; a blank stays one."""
    codes = {value: code(value) if value else "" for value in values.unique()}
    return tuple(codes[value] for value in values)


def note(found: Whose, patients: tuple[str, ...]) -> str:
    """Where the patients of the joined rows come from, and how many they are."""
    blank = sum(not patient for patient in patients)
    lacking = f", {blank:,} rows without one" if blank else ""
    count = len(set(patients) - {""})
    return f"Patients: the {found.side}' {found.column}, {count:,} of them{lacking}."
