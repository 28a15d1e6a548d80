"""Anyone's predictions beside anyone's labels: two tables joined row by row and name by name."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.evaluation.predictions import Predictions
from data_prep.errors import UserError
from data_prep.tables import code_of, findings_to_codes, parse_codes, read_table
from data_prep.vocabulary import CHEXPERT14, NIH14, canonical, is_normal

PREFIX = "prob_"
TRUTH_PREFIX = "true_"
FINDINGS = {canonical(name) for name in (*NIH14, *CHEXPERT14)}
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
    uncertain: float | None = None,
    blank: float | None = None,
) -> Joined:
    """Join a table of predictions to a table of labels.

    Args:
        predictions: a table with one column of probabilities per label, named `prob_LABEL`, or as
            the labels are; `true_` columns are no predictions.
        labels: a table with one column of codes (1, 0, -1, blank) per label, or one column of
            `A|B` findings; or a prepared dataset's folder.
        key: the column that both are joined on, or `PREDICTIONS_COLUMN=LABELS_COLUMN`; None takes
            the first column of the predictions that the labels have too and that holds no label.
        uncertain: what -1 counts as: 1, 0, or None to mask it.
        blank: what a blank counts as: 0, or None to mask it.

    Returns:
        The joined rows and notes.

    Raises:
        UserError: no common key, a key value twice, no common label or row, a score outside [0, 1],
            or a label code that is none.
    """
    scores, truth = read_table(predictions), read_table(_labels_file(labels))
    left, right = _keys(scores, truth, key)
    for table, column, path in ((scores, left, predictions), (truth, right, labels)):
        _refuse_duplicates(table[column], path)
    columns, codes, notes = _match(scores, truth, left, right)
    here, there, row_notes = _rows(scores[left], truth[right])
    prob = _probabilities(scores, list(columns.values()), predictions.name)[here]
    values, mask_notes = _values(codes.iloc[there], uncertain, blank)
    patients = truth["patient"].iloc[there] if _is_manifest(truth) else [""] * len(here)
    joined = Predictions(
        images=tuple(scores[left].iloc[here]),
        patients=tuple(patients),
        folds=("0",) * len(here),
        labels=tuple(columns),
        prob=prob,
        truth=values,
    )
    shared = left if left == right else f"{left} = {right}"
    first = f"Joined on {shared}: {len(here):,} rows."
    return Joined(joined, (first, *row_notes, *notes, *mask_notes))


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
        shared = [c for c in scores if c in truth and not _holds_labels(c, truth)]
        if shared:
            return shared[0], shared[0]
        raise UserError(
            "The tables must share a column to be joined on. "
            f"Received: predictions with {_listed(_unprefixed(scores))}; labels with "
            f"{_listed(truth.columns)}. Give --key PREDICTIONS_COLUMN=LABELS_COLUMN."
        )
    left, _, right = (key, "", key) if "=" not in key else key.partition("=")
    for name, table, side in ((left, scores, "predictions"), (right, truth, "labels")):
        if name not in table:
            raise UserError(
                f"--key names a column of both tables. The {side} have no {name!r}, but "
                f"{_listed(_unprefixed(table))}. Give --key PREDICTIONS_COLUMN=LABELS_COLUMN."
            )
    return left, right


def _unprefixed(table: pd.DataFrame) -> list[str]:
    return [c for c in table.columns if not c.startswith((PREFIX, TRUTH_PREFIX))]


def _holds_labels(column: str, truth: pd.DataFrame) -> bool:
    return column.startswith((PREFIX, TRUTH_PREFIX)) or all(
        code_of(value) is not None for value in truth[column].unique()
    )


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


def _match(
    scores: pd.DataFrame, truth: pd.DataFrame, left: str, right: str
) -> tuple[dict[str, str], pd.DataFrame, list[str]]:
    """{label: score column}, the codes with one column per label, and notes."""
    predicted = _score_columns(scores, left)
    pairs, codes, used, spare = _truth(truth, right, predicted)
    columns = {name: predicted[name] for name in pairs}
    renamed = {name: theirs for name, theirs in pairs.items() if theirs != name}
    notes = [f"The labels' {theirs} was taken for {name}." for name, theirs in renamed.items()]
    ignored = [c for c in scores if c != left and c not in columns.values()]
    unused = [c for c in truth if c != right and c not in used] + spare
    for side, names in (("predictions", ignored), ("labels", unused)):
        if names:
            notes.append(f"Not used, of the {side}: {', '.join(names)}.")
    return columns, codes.set_axis(list(columns), axis=1), notes


def _score_columns(scores: pd.DataFrame, left: str) -> dict[str, str]:
    """{label: column}: the prefixed columns, or where there are none, every column but the key."""
    prefixed = {c.removeprefix(PREFIX): c for c in scores if c.startswith(PREFIX)}
    return prefixed or {c: c for c in scores if c != left and not c.startswith(TRUTH_PREFIX)}


def _label_columns(truth: pd.DataFrame, right: str, prefixed: bool) -> dict[str, str]:
    """{label: column}; where no prefix marks the scores, an age in both tables is no label."""
    own = {c.removeprefix(TRUTH_PREFIX): c for c in truth if c.startswith(TRUTH_PREFIX)}
    rest = [c for c in truth if c != right]
    if not prefixed:
        rest = [c for c in rest if canonical(c) in FINDINGS or _holds_labels(c, truth)]
    return own or {c: c for c in rest}


def _truth(
    truth: pd.DataFrame, right: str, predicted: dict[str, str]
) -> tuple[dict[str, str], pd.DataFrame, list[str], list[str]]:
    """{label: their name}, the codes in that order, columns used, and findings not predicted."""
    names = _label_columns(truth, right, prefixed=set(predicted).isdisjoint(predicted.values()))
    pairs = _pair(predicted, names)
    if pairs:
        used = [names[theirs] for theirs in pairs.values()]
        return pairs, parse_codes(truth, used), used, []
    column = _findings_column(truth, right, predicted)
    if column is None:
        raise UserError(
            f"The tables must share a label. Received: scores for {_listed(predicted)}; "
            f"labels with {_listed(names)}. Name the columns prob_LABEL and LABEL."
        )
    found, codes = findings_to_codes(truth[column])
    pairs = _pair(predicted, found)
    spare = [f"finding {name}" for name in found if name not in pairs.values()]
    return pairs, codes[list(pairs.values())], [column], spare


def _pair(predicted: Iterable[str], offered: Iterable[str]) -> dict[str, str]:
    """{predicted: offered}: the same spelling, or the same meaning if only one on each side."""
    predicted, offered = list(predicted), list(offered)
    ours, theirs = (Counter(map(canonical, names)) for names in (predicted, offered))
    by_meaning = {canonical(name): name for name in offered}
    pairs = {}
    for name in predicted:
        meaning = canonical(name)
        if name in offered:
            pairs[name] = name
        elif ours[meaning] == theirs[meaning] == 1:
            pairs[name] = by_meaning[meaning]
    return pairs


def _findings_column(truth: pd.DataFrame, right: str, predicted: Iterable[str]) -> str | None:
    """The first column in whose cells, split at `|`, a predicted label stands."""
    wanted = {canonical(name) for name in predicted if not is_normal(name)}
    for column in truth.columns:
        if column != right:
            cells = "|".join(truth[column].unique())
            if wanted & {canonical(word) for word in set(cells.split("|"))}:
                return column
    return None


def _probabilities(scores: pd.DataFrame, columns: list[str], file: str) -> np.ndarray:
    return np.column_stack([_probability(scores[name], file) for name in columns])


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


def _values(
    codes: pd.DataFrame, uncertain: float | None, blank: float | None
) -> tuple[np.ndarray, list[str]]:
    meaning = {"1": 1.0, "0": 0.0, "-1": uncertain, "": blank}
    table = {code: np.nan if value is None else value for code, value in meaning.items()}
    text = codes.to_numpy(dtype=object)
    notes = []
    for code, name in (("-1", "uncertain (-1)"), ("", "blank")):
        count = int((text == code).sum())
        if count:
            done = "masked" if meaning[code] is None else f"counted as {meaning[code]:g}"
            notes.append(f"{count:,} entries are {name}: {done}.")
    values = [[table[code] for code in row] for row in text]
    return np.array(values, dtype=np.float64).reshape(text.shape), notes


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more
