"""Anyone's predictions beside anyone's labels: two tables joined row by row and name by name."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.data.targets import targets_from_codes
from cxrkeras.evaluation.pairing import PREFIX, TRUTH_PREFIX, holds_labels, listed, paired
from cxrkeras.evaluation.predictions import Predictions
from cxrkeras.evaluation.studies import by_study, same_archive, studies_of
from data_prep.errors import UserError
from data_prep.tables import read_table

_DONE = {"ignore": "masked", "zeros": "counted as 0", "ones": "counted as 1"}
MANIFEST = ["image", "patient", "study", "view", "sex", "age", "split", "source_id", "sha256"]


@dataclass(frozen=True)
class Joined:
    """Predictions with their truth, and what was left out on the way.

    Attributes:
        predictions: the rows that both tables have, in the predictions' order, all in fold 0.
        notes: plain sentences: the key, rows and columns left out, names matched, entries masked.
    """

    predictions: Predictions
    notes: tuple[str, ...]


def join(
    predictions: Path,
    labels: Path,
    *,
    key: str | None = None,
    uncertain: str = "ignore",
    blank: str = "ignore",
    per_study: bool = False,
) -> Joined:
    """Join a table of predictions to a table of labels.

    Args:
        predictions: a table with one column of probabilities per label, named `prob_LABEL`, or as
            the labels are; `true_` columns are no predictions.
        labels: a table with one column of codes (1, 0, -1, blank) per label, or one column of
            `A|B` findings; or a prepared dataset's folder.
        key: the column that both are joined on, or `PREDICTIONS_COLUMN=LABELS_COLUMN`; None takes
            the first column of the predictions that the labels have too and that holds no label.
        uncertain: what -1 counts as: `ones`, `zeros`, or `ignore` to mask it.
        blank: what a blank counts as: `zeros`, or `ignore` to mask it.
        per_study: score studies, not images (`studies.by_study`).

    Returns:
        The joined rows and notes.

    Raises:
        UserError: no common key, a key value twice, no common label or row, a score outside [0, 1],
            a label code that is none, or studies wanted but unknown.
    """
    scores, truth = read_table(predictions), read_table(_labels_file(labels))
    scores, unread_notes = _scored(scores)
    left, right = _keys(scores, truth, key)
    for table, column, path in ((scores, left, predictions), (truth, right, labels)):
        _refuse_duplicates(table[column], path)
    pairs = paired(scores, truth, left, right)
    here, there, row_notes = _rows(*same_archive(scores[left], truth[right]))
    prob = _probabilities(scores, pairs.columns, predictions.name)[here]
    values, mask_notes = _values(pairs.codes.iloc[there], uncertain, blank)
    patients = truth["patient"].iloc[there] if _is_manifest(truth) else [""] * len(here)
    joined = Predictions(
        images=tuple(scores[left].iloc[here]),
        patients=tuple(patients),
        folds=("0",) * len(here),
        labels=tuple(pairs.columns),
        prob=prob,
        truth=values,
    )
    if per_study:
        joined, note = by_study(joined, studies_of(truth, right).to_numpy()[there])
        mask_notes.append(note)
    shared = left if left == right else f"{left} = {right}"
    first = f"Joined on {shared}: {len(here):,} rows."
    return Joined(joined, (first, *unread_notes, *row_notes, *pairs.notes, *mask_notes))


def _scored(scores: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Without the rows that have no score at all, as `cxrkeras predict` writes of unread files."""
    columns = [column for column in scores if column.startswith(PREFIX)]
    unread = (scores[columns] == "").all(axis=1) if columns else pd.Series(False, scores.index)
    if unread.all() or not unread.any():
        return scores, []
    notes = [f"{int(unread.sum()):,} predicted rows have no score and were left out."]
    return scores[~unread].reset_index(drop=True), notes


def _labels_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    if not (path / "manifest.csv").is_file():
        raise UserError(
            f"A folder of labels is a prepared dataset with manifest.csv. Received: {path}. "
            "Give a table, or a folder that `cxrkeras prep` wrote."
        )
    return path / "manifest.csv"


def _is_manifest(table: pd.DataFrame) -> bool:
    return list(table.columns[: len(MANIFEST)]) == MANIFEST


def _keys(scores: pd.DataFrame, truth: pd.DataFrame, key: str | None) -> tuple[str, str]:
    if key is None:
        shared = [c for c in scores if c in truth and not holds_labels(c, truth)]
        if shared:
            return shared[0], shared[0]
        raise UserError(
            "The tables must share a column to be joined on. "
            f"Received: predictions with {listed(_unprefixed(scores))}; labels with "
            f"{listed(truth.columns)}. Give --key PREDICTIONS_COLUMN=LABELS_COLUMN."
        )
    left, _, right = (key, "", key) if "=" not in key else key.partition("=")
    for name, table, side in ((left, scores, "predictions"), (right, truth, "labels")):
        if name not in table:
            raise UserError(
                f"--key names a column of both tables. The {side} have no {name!r}, but "
                f"{listed(_unprefixed(table))}. Give --key PREDICTIONS_COLUMN=LABELS_COLUMN."
            )
    return left, right


def _unprefixed(table: pd.DataFrame) -> list[str]:
    return [c for c in table.columns if not c.startswith((PREFIX, TRUTH_PREFIX))]


def _refuse_duplicates(values: pd.Series, path: Path) -> None:
    twice = int(values[values != ""].duplicated().sum())
    if twice:
        raise UserError(
            f"The key must tell rows apart. Column {values.name!r} of {path.name} repeats a value "
            f"in {twice} rows. Remove the repeats, or give another --key."
        )


def _rows(scores: pd.Series, truth: pd.Series) -> tuple[np.ndarray, np.ndarray, list[str]]:
    place = pd.Series(np.arange(len(truth)), index=truth.to_numpy())[truth.to_numpy() != ""]
    found = place.reindex(scores.to_numpy()).to_numpy()
    here = np.flatnonzero(np.isfinite(found))
    if not len(here):
        raise UserError(
            f"No value of the predictions' column {scores.name!r} stands in the labels' column "
            f"{truth.name!r}. Give another --key, or mend the names (folder, suffix)."
        )
    extra = {"predicted": len(scores) - len(here), "labelled": len(truth) - len(here)}
    lacking = {"predicted": "labels", "labelled": "prediction"}
    notes = [
        f"{count:,} {side} rows have no {lacking[side]} and were left out."
        for side, count in extra.items()
        if count
    ]
    return here, found[here].astype(int), notes


def _probabilities(scores: pd.DataFrame, columns: dict[str, list[str]], file: str) -> np.ndarray:
    every = dict.fromkeys(name for parts in columns.values() for name in parts)
    values = {name: _probability(scores[name], file) for name in every}
    return np.column_stack(
        [np.max([values[n] for n in parts], axis=0) for parts in columns.values()]
    )


def _probability(column: pd.Series, file: str) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~((values >= 0) & (values <= 1))
    if bad.any():
        first = int(bad.argmax())
        shown = f"{values[first]:g}" if np.isfinite(values[first]) else _kind(column.iloc[first])
        raise UserError(
            f"Scores are probabilities in [0, 1]. Column {column.name!r} of {file} holds {shown} "
            f"in data row {first + 1} ({int(bad.sum())} such rows). Convert or remove them."
        )
    return values


def _kind(cell: str) -> str:
    known = {"": "a blank", "nan": "NaN", "inf": "infinity", "-inf": "infinity"}
    return known.get(cell.casefold(), "text")


def _values(codes: pd.DataFrame, uncertain: str, blank: str) -> tuple[np.ndarray, list[str]]:
    """(N, K) truths, 1, 0 or NaN for masked, and what was done to entries that are neither."""
    text = codes.to_numpy(dtype=object)
    numbers = np.where(text == "", "nan", text).astype(np.float32)
    notes = []
    for entries, name, choice in (
        (text == "-1", "uncertain (-1)", uncertain),
        (text == "", "blank", blank),
    ):
        if count := int(entries.sum()):
            notes.append(f"{count:,} entries are {name}: {_DONE[choice]}.")
    return targets_from_codes(numbers, uncertain=uncertain, blank=blank).known.astype(float), notes
