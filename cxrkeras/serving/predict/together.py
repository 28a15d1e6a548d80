"""Films of one study: how they are told, and their answers as one."""

import hashlib
from collections.abc import Sequence

import numpy as np

from cxrkeras.data.studies import groups_of, name_of
from cxrkeras.registry import PREDICTORS
from cxrkeras.serving.predict.told import Told
from cxrkeras.serving.predictor.card import Card
from data_prep.say import say

_IN_TABLES = {"study": ("study", "patient"), "patient": ("patient",)}


def asked_of_headers(by: str) -> tuple[str, ...]:
    """What headers are to tell for it; a StudyInstanceUID is nobody else's."""
    return (by,) if by else ()


def asked_of_tables(by: str) -> tuple[str, ...]:
    """What a table is to tell for it."""
    return _IN_TABLES.get(by, ())


def study_of(told: Told, by: str) -> str:
    """A digest of what makes a film's study; "" where that isn't known."""
    name = name_of(by, told.get("patient", ""), told.get("study", "")) if by else ""
    return hashlib.sha256(name.encode()).hexdigest()[:32] if name else ""


def together(card: Card, studies: Sequence[str | None], numbers: np.ndarray) -> np.ndarray:
    """(N, K) scores: of each film that of its study, whatever the order of the films.

    Args:
        card: of the model.
        studies: of N films, see `study_of`; None for an unusable film, whose scores are NaN.
        numbers: (N, W) see `Kind.fused`.
    """
    scores = np.full((len(studies), len(card.labels)), np.nan)
    used = [number for number, study in enumerate(studies) if study is not None]
    if not used:
        return scores
    names = [studies[number] for number in used]
    scores[used] = PREDICTORS.make(card.kind).fused(card, numbers[used], groups_of(names))
    _say(card.studies, len(set(filter(None, names))), len(used), names.count(""))
    return scores


def _say(by: str, studies: int, films: int, alone: int) -> None:
    if alone < films:
        several = "studies" if by == "study" else "patients"
        say(f"{films - alone:,} films of {studies:,} {several}: each has the score of its {by}.")
    if alone:
        say(
            f"Warning: the {by} is unknown for {alone:,} of {films:,} films, each of which is "
            f"answered alone. --table may name it in a column {by}."
        )
