"""Joins anyone's predictions with anyone's labels, row by row and name by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.data.labels.targets import targets_from_codes
from cxrkeras.evaluation.evidence.doubts import LEARNT, LEARNT_BY_FOLDS
from cxrkeras.evaluation.scores.predictions import Predictions
from cxrkeras.evaluation.tables.examinations import by_study, studies_of
from cxrkeras.evaluation.tables.keys import Keys, from_predict, keys_of, matches
from cxrkeras.evaluation.tables.pairing import PREFIXES, paired
from cxrkeras.evaluation.tables.patients import Whose, note, pseudonyms, whose
from data_prep.dataset.identity import keyed_hash, load_key
from data_prep.errors import UserError
from data_prep.tables.columns import role_column
from data_prep.tables.table import read_table

_DONE = {"ignore": "masked", "zeros": "counted as 0", "ones": "counted as 1"}
MANIFEST = ["image", "patient", "study", "view", "sex", "age", "split", "source_id", "sha256"]
_BESIDE = (
    "file_name",
    "unlike",
    "flagged",
    "warnings",
    "error",
)  # of a table that `cxrkeras predict` wrote
_DERIVED = ("adjusted_", "calibrated_", "threshold_", "positive_")
_DERIVED_BEFORE = ("undistorted_", "called_")  # as a release ago


@dataclass(frozen=True)
class Joined:
    """Predictions with their truth, and what was left out on the way.

    Attributes:
        predictions: the rows that both tables have, in the predictions' order, all in fold 0.
        notes: plain sentences: the key, rows and columns left out, names matched, entries masked.
        learnt: rows of images that the model learnt from, as `cxrkeras predict` says.
    """

    predictions: Predictions
    notes: tuple[str, ...]
    learnt: int


def join(
    predictions: Path,
    labels: Path,
    *,
    key: str | None = None,
    patient_column: str | None = None,
    key_file: Path | None = None,
    uncertain: str = "ignore",
    blank: str = "ignore",
    per: str = "image",
    over: str = "max",
    ranks_only: bool = False,
) -> Joined:
    """Join a table of predictions to a table of labels.

    Args:
        predictions: a table with one column of probabilities per label, named `prob_LABEL`, or as
            the labels are; `true_` columns are no predictions. What `cxrkeras predict` wrote is
            joined by the names of its files.
        labels: a table with one column of codes (1, 0, -1, blank) per label, or one column of
            `A|B` findings; or a prepared dataset's folder.
        key: the column that both are joined on, or `PREDICTIONS_COLUMN=LABELS_COLUMN`; None takes
            the first column of the predictions that the labels have too and that holds no label.
        patient_column: of the labels, or of the predictions; found as `cxrkeras prep` does where
            None (`patients.whose`).
        key_file: of the secret under which patients become pseudonyms (`identity.load_key`), unless
            a prepared dataset tells them, where they are already.
        uncertain: what -1 counts as: `ones`, `zeros`, or `ignore` to mask it.
        blank: what a blank counts as: `zeros`, or `ignore` to mask it.
        per: `image`; or `study` or `patient`, to score these (`examinations.by_study`).
        over: `max` or `mean`: which score of a study's images counts.
        ranks_only: scores are any real numbers, of which only the order counts.

    Returns:
        The joined rows and notes. Images are named as in the predictions; as in the labels where
        those are a prepared dataset, or name the predicted files.

    Raises:
        UserError: there is no common key, label or row, a key value is repeated, the patient column
            doesn't exist, a score is outside [0, 1], a label code is invalid, or studies or
            patients are unknown but wanted.
    """
    scores, truth = read_table(predictions), read_table(_labels_file(labels))
    scores, unread_notes = _scored(scores)
    found = whose(scores, truth, patient_column, key and key.rpartition("=")[2])
    keys = keys_of(scores, truth, key, _patient_columns(scores, truth, found))
    for cells, path in ((scores[keys.left], predictions), (truth[keys.right], labels)):
        _refuse_duplicates(cells, path)
    aside = {found.column} - {keys.left, keys.right} if found else set()
    pairs = paired(
        _offered(scores).drop(columns=aside, errors="ignore"),
        truth.drop(columns=aside, errors="ignore"),
        keys.left,
        keys.right,
    )
    here, there, row_notes = _rows(keys)
    values, mask_notes = _values(pairs.codes.iloc[there], uncertain, blank)
    rows = {"predictions": here, "labels": there}
    coded = _is_manifest(truth) and found is not None and found.side == "labels"
    code = str if coded else _pseudonym(key_file)
    patients = pseudonyms(found.values.iloc[rows[found.side]], code) if found else ("",) * len(here)
    joined = Predictions(
        images=_images(scores, truth, keys, found, rows, code),
        patients=patients,
        folds=("0",) * len(here),
        labels=tuple(pairs.columns),
        prob=_scores(scores, pairs.columns, predictions.name, ranks_only)[here],
        truth=values,
        ranks_only=ranks_only,
    )
    if per != "image":
        whole = per == "patient"
        names = patients if whole else studies_of(truth, keys.right).to_numpy()[there]
        if whole and not any(patients):
            raise UserError(
                "--per patient needs to know the patients. Give --patient-column, or score per "
                "image."
            )
        joined, said = by_study(joined, np.array(names), over=over, patients=whole)
        mask_notes.append(said)
    shared = keys.left if keys.left == keys.right else f"{keys.left} = {keys.right}"
    first = f"Joined on {shared}: {len(here):,} rows."
    learnt = _learnt_from(scores, here)
    notes = [first, *([note(found, patients)] if found else []), *unread_notes, *row_notes]
    return Joined(joined, (*notes, *pairs.notes, *mask_notes), learnt)


def _patient_columns(scores: pd.DataFrame, truth: pd.DataFrame, found: Whose | None) -> set[str]:
    """The columns that name patients, of either table: the last to be joined on."""
    usual = {role_column(table, "patient", None, set()) for table in (scores, truth)}
    return (usual | {found.column if found else None}) - {None}


def _pseudonym(key_file: Path | None) -> Callable[[str], str]:
    key: list[bytes] = []

    def code(patient: str) -> str:
        key[:] = key or [load_key(key_file)]  # made only where there is a patient to be hidden
        return keyed_hash(key[0], "patient", patient)

    return code


def _images(scores, truth, keys: Keys, found: Whose | None, rows: dict, code) -> tuple[str, ...]:
    """The name of each joined row's image; never a patient's number."""
    if _is_manifest(truth):
        return tuple(truth["image"].iloc[rows["labels"]])
    side, column = ("labels", keys.right) if keys.by_file else ("predictions", keys.left)
    table = truth if side == "labels" else scores
    names = table[column].iloc[rows[side]]
    if found and found.column in (keys.left, keys.right):
        return pseudonyms(names, code)
    return tuple(names)


def _offered(scores: pd.DataFrame) -> pd.DataFrame:
    """Without what `cxrkeras predict` writes beside its probabilities."""
    if not from_predict(scores):
        return scores
    own = [c for c in scores if c in _BESIDE or c.startswith(_DERIVED + _DERIVED_BEFORE)]
    return scores.drop(columns=own)


def _learnt_from(scores: pd.DataFrame, rows: np.ndarray) -> int:
    if not from_predict(scores) or "warnings" not in scores:
        return 0
    said = scores["warnings"].iloc[rows]
    return sum(LEARNT in text or LEARNT_BY_FOLDS in text for text in said)


def _scored(scores: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Without the rows that have no score at all, as `cxrkeras predict` writes of unread files."""
    columns = [column for column in scores if column.startswith(PREFIXES)]
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
            f"A folder of labels must be a prepared dataset with manifest.csv. Received: {path}. "
            "Give a table, or a folder that `cxrkeras prep` wrote."
        )
    return path / "manifest.csv"


def _is_manifest(table: pd.DataFrame) -> bool:
    return list(table.columns[: len(MANIFEST)]) == MANIFEST


def _refuse_duplicates(values: pd.Series, path: Path) -> None:
    twice = int(values[values != ""].duplicated().sum())
    if twice:
        raise UserError(
            f"The key must identify rows uniquely. Column {values.name!r} of {path.name} repeats "
            f"a value in {twice} rows. Remove the repeats, or give another --key."
        )


def _rows(keys: Keys) -> tuple[np.ndarray, np.ndarray, list[str]]:
    found = matches(keys)
    here = np.flatnonzero(np.isfinite(found))
    if not len(here):
        raise UserError(
            f"No value of the predictions' column {keys.left!r} stands in the labels' column "
            f"{keys.right!r}. Give another --key, or mend the names (folder, suffix)."
        )
    extra = {"predicted": len(found) - len(here), "labelled": len(keys.theirs) - len(here)}
    lacking = {"predicted": "labels", "labelled": "prediction"}
    notes = [
        f"{count:,} {side} rows have no {lacking[side]} and were left out."
        for side, count in extra.items()
        if count
    ]
    return here, found[here].astype(int), notes


def _scores(
    scores: pd.DataFrame, columns: dict[str, list[str]], file: str, ranks_only: bool
) -> np.ndarray:
    every = dict.fromkeys(name for parts in columns.values() for name in parts)
    values = {name: _numbers(scores[name], file, ranks_only) for name in every}
    return np.column_stack(
        [np.max([values[n] for n in parts], axis=0) for parts in columns.values()]
    )


def _numbers(column: pd.Series, file: str, ranks_only: bool) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values) if ranks_only else ~((values >= 0) & (values <= 1))
    if bad.any():
        first = int(bad.argmax())
        known = np.isfinite(values[first])
        shown = f"{values[first]:g}" if known else _kind(column.iloc[first])
        rule = "finite numbers" if ranks_only else "probabilities in [0, 1]"
        advice = ", or give --scores to judge their order alone" if known else ""
        raise UserError(
            f"Scores are {rule}. Column {column.name!r} of {file} holds {shown} "
            f"in data row {first + 1} ({int(bad.sum())} such rows). Convert or remove them{advice}."
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
