"""Which column of a table of scores is scored against which label of another table, by name."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from cxrkeras.evaluation.scores.predictions import PREFIX, SCORE_PREFIX
from data_prep.errors import UserError
from data_prep.tables.table import code_of, findings_to_codes, parse_codes
from data_prep.tables.vocabulary import CHEXPERT14, NIH14, canonical, is_normal, parts_of

PREFIXES = (PREFIX, SCORE_PREFIX)
TRUTH_PREFIX = "true_"
FINDINGS = {canonical(name) for name in (*NIH14, *CHEXPERT14)}


class Paired(NamedTuple):
    """What two tables share.

    Attributes:
        columns: label -> the score columns whose highest counts; mostly it is one.
        codes: a column of codes per label, in that order; a row per row of the labels' table.
        notes: names matched, columns left out.
    """

    columns: dict[str, list[str]]
    codes: pd.DataFrame
    notes: list[str]


def paired(scores: pd.DataFrame, truth: pd.DataFrame, left: str, right: str) -> Paired:
    """Pair scores and labels by name, by meaning (`canonical`), or as a union (`parts_of`).

    Args:
        scores: columns `prob_LABEL` or `score_LABEL`, or named as the labels are.
        truth: columns of codes, or one of `A|B` findings.
        left: the key column of `scores`.
        right: the key column of `truth`.

    Raises:
        UserError: no label is shared, or a label code is invalid.
    """
    predicted = _score_columns(scores, left)
    shared, codes, used, spare = _truth(truth, right, predicted)
    columns = {label: [predicted[part] for part in parts] for label, (_, parts) in shared.items()}
    notes = [_said(label, *pair) for label, pair in shared.items() if pair != (label, [label])]
    scored = {column for parts in columns.values() for column in parts}
    ignored = [c for c in scores if c != left and c not in scored]
    unused = [c for c in truth if c != right and c not in used] + spare
    for side, names in (("predictions", ignored), ("labels", unused)):
        if names:
            notes.append(f"Not used, of the {side}: {', '.join(names)}.")
    return Paired(columns, codes.set_axis(list(columns), axis=1), notes)


def _said(label: str, theirs: str, parts: list[str]) -> str:
    if len(parts) == 1:
        return f"The labels' {theirs} was taken as {label}."
    return f"The labels' {theirs} is scored against the highest of {', '.join(parts)}."


def _score_columns(scores: pd.DataFrame, left: str) -> dict[str, str]:
    """{label: column}: the prefixed columns, or where there are none, every column but the key."""
    for prefix in PREFIXES:
        if prefixed := {c.removeprefix(prefix): c for c in scores if c.startswith(prefix)}:
            return prefixed
    return {c: c for c in scores if c != left and not c.startswith(TRUTH_PREFIX)}


def holds_labels(column: str, truth: pd.DataFrame) -> bool:
    """Whether a column is one of codes, by its prefix or its values."""
    return column.startswith((*PREFIXES, TRUTH_PREFIX)) or all(
        code_of(value) is not None for value in truth[column].unique()
    )


def _label_columns(truth: pd.DataFrame, right: str, prefixed: bool) -> dict[str, str]:
    """{label: column}; where no prefix marks the scores, an age in both tables is no label."""
    own = {c.removeprefix(TRUTH_PREFIX): c for c in truth if c.startswith(TRUTH_PREFIX)}
    rest = [c for c in truth if c != right]
    if not prefixed:
        rest = [c for c in rest if canonical(c) in FINDINGS or holds_labels(c, truth)]
    return own or {c: c for c in rest}


def _truth(
    truth: pd.DataFrame, right: str, predicted: dict[str, str]
) -> tuple[dict[str, tuple[str, list[str]]], pd.DataFrame, list[str], list[str]]:
    """What `_shared` gives, the codes in that order, columns used, and findings not predicted."""
    names = _label_columns(truth, right, prefixed=set(predicted).isdisjoint(predicted.values()))
    shared = _shared(predicted, names)
    if shared:
        used = [names[theirs] for theirs, _ in shared.values()]
        return shared, parse_codes(truth, used), used, []
    column = _findings_column(truth, right, predicted)
    if column is None:
        raise UserError(
            f"The tables must share a label. Received: scores for {listed(predicted)}; "
            f"labels with {listed(names)}. Name the columns prob_LABEL and LABEL."
        )
    found, codes = findings_to_codes(truth[column])
    shared = _shared(predicted, found)
    used = [theirs for theirs, _ in shared.values()]
    spare = [f"finding {name}" for name in found if name not in used]
    return shared, codes[used], [column], spare


def _shared(predicted: Iterable[str], offered: Iterable[str]) -> dict[str, tuple[str, list[str]]]:
    """{label: (offered, predicted parts)}: the predicted labels' order, then what is a union."""
    predicted, offered = list(predicted), list(offered)
    pairs = _pair(predicted, offered)
    shared = {name: (theirs, [name]) for name, theirs in pairs.items()}
    for name in offered:
        parts = _pair(parts_of(name), predicted)
        if parts and len(parts) == len(parts_of(name)) and name not in pairs.values():
            shared[name] = (name, list(parts.values()))
    return shared


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


def listed(names: Iterable[str]) -> str:
    """The first eight names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more
