"""Which rows of two tables mean one image: by a column that both have, or by the names of files."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxrkeras.evaluation.tables.examinations import same_archive
from cxrkeras.evaluation.tables.pairing import PREFIXES, TRUTH_PREFIX, holds_labels, listed
from data_prep.errors import UserError
from data_prep.tables.matching import without_suffix

FILE_COLUMNS = ["file", "file_name"]  # what a table of `cxrkeras predict` begins with


class Keys(NamedTuple):
    """What the rows of two tables are joined on.

    Attributes:
        left: the predictions' column.
        right: the labels' column.
        ours: (N,) text of the predictions' rows, to be compared with `theirs`.
        theirs: (M,) text of the labels' rows.
        by_file: whether the values are the ends of files' paths.
    """

    left: str
    right: str
    ours: pd.Series
    theirs: pd.Series
    by_file: bool = False


def from_predict(scores: pd.DataFrame) -> bool:
    """Whether `cxrkeras predict` wrote the table."""
    return list(scores.columns[:2]) == FILE_COLUMNS


def keys_of(scores: pd.DataFrame, truth: pd.DataFrame, key: str | None, patient: set[str]) -> Keys:
    """The columns to join on, and their values as they can be compared.

    Args:
        scores: the predictions. A table that `cxrkeras predict` wrote is joined by its files: to
            the column of the labels in which most of them stand, by as much of their paths as tells
            them apart, and without suffix if necessary.
        truth: the labels.
        key: a column of both, or `PREDICTIONS_COLUMN=LABELS_COLUMN`; None takes the first column of
            the predictions that the labels have too and that holds no label.
        patient: columns of patients, which are taken only where nothing else is shared.

    Raises:
        UserError: no common key.
    """
    if key is None and from_predict(scores) and (found := _by_file(scores, truth, patient)):
        return found
    left, right = _named(scores, truth, key) if key else _shared(scores, truth, patient)
    return Keys(left, right, *same_archive(scores[left], truth[right]))


def _by_file(scores: pd.DataFrame, truth: pd.DataFrame, patient: set[str]) -> Keys | None:
    files = scores["file"].map(_plain)
    columns = [c for c in truth if c not in patient and not holds_labels(c, truth)]
    for shorten in (str, without_suffix):  # numbers are names of files only if nothing else is
        found: list[tuple[Keys, np.ndarray]] = []
        for column in columns:
            if pair := _tails(files.map(shorten), truth[column].map(_plain).map(shorten)):
                keys = Keys("file", column, *pair, by_file=True)
                found.append((keys, matches(keys)))
        most = max((np.isfinite(rows).sum() for _, rows in found), default=0)
        if most:
            best = [(keys, rows) for keys, rows in found if np.isfinite(rows).sum() == most]
            for keys, rows in best[1:]:
                if not np.array_equal(rows, best[0][1], equal_nan=True):
                    both = f"{best[0][0].right!r} and {keys.right!r}"
                    raise UserError(
                        f"The labels' columns {both} both name the predicted files, but "
                        "differently. Remove one, or choose one: --key file_name=COLUMN."
                    )
            return best[0][0]
    return None


def matches(keys: Keys) -> np.ndarray:
    """(N,) the labels' row of each row of the predictions; NaN if there is none."""
    theirs = keys.theirs.to_numpy()
    place = pd.Series(np.arange(len(theirs)), index=theirs)[theirs != ""]
    return place.reindex(keys.ours.to_numpy()).to_numpy(dtype=np.float64)


def _plain(cell: str) -> str:
    return cell.replace("\\", "/")


def _tails(ours: pd.Series, theirs: pd.Series) -> tuple[pd.Series, pd.Series] | None:
    """The shortest ends of paths that tell apart the rows of each table; None where none do."""
    deepest = max((path.count("/") for cells in (ours, theirs) for path in cells), default=0)
    for depth in range(1, deepest + 2):
        pair = tuple(cells.map(_last(depth)) for cells in (ours, theirs))
        if not any(cells[cells != ""].duplicated().any() for cells in pair):
            return pair
    return None


def _last(parts: int) -> Callable[[str], str]:
    return lambda path: "/".join(path.split("/")[-parts:])


def _shared(scores: pd.DataFrame, truth: pd.DataFrame, patient: set[str]) -> tuple[str, str]:
    shared = [c for c in scores if c in truth and not holds_labels(c, truth)]
    if shared:
        column = next((c for c in shared if c not in patient), shared[0])
        return column, column
    raise UserError(
        "The tables must share a column on which to join them. Received: predictions with "
        f"{listed(_unprefixed(scores))}; labels with {listed(truth.columns)}. Give --key "
        "PREDICTIONS_COLUMN=LABELS_COLUMN."
    )


def _named(scores: pd.DataFrame, truth: pd.DataFrame, key: str) -> tuple[str, str]:
    left, _, right = (key, "", key) if "=" not in key else key.partition("=")
    for name, table, side in ((left, scores, "predictions"), (right, truth, "labels")):
        if name not in table:
            raise UserError(
                f"--key must name a column of both tables. The {side} have no {name!r}, but "
                f"{listed(_unprefixed(table))}. Give --key PREDICTIONS_COLUMN=LABELS_COLUMN."
            )
    return left, right


def _unprefixed(table: pd.DataFrame) -> list[str]:
    return [c for c in table.columns if not c.startswith((*PREFIXES, TRUTH_PREFIX))]
