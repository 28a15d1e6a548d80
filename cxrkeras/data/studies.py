"""Films of one study: which they are, what is true of them, and how their logits become one.

Where a patient has several films and the studies aren't known, a patient may stand for a study.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np

from cxrkeras.data.labels.entries import MASKED, UNCERTAIN_CLASS
from cxrkeras.data.labels.targets import Targets
from data_prep.errors import UserError

if TYPE_CHECKING:
    from cxrkeras.data.dataset import PreparedDataset

By = Literal["study", "patient"]
"""What makes films belong together: the same study of the same patient, or the same patient."""


def name_of(by: By, patient: str, study: str) -> str:
    """The name under which a film meets its neighbours; "" where it isn't known.

    `study1` of two patients are two studies.
    """
    if by == "patient":
        return patient
    return f"{patient}\x00{study}" if study else ""


def names_in(dataset: "PreparedDataset", by: By) -> list[str]:
    """N names, see `name_of`.

    Raises:
        UserError: no film's is known.
    """
    studies = dataset.told.get("study", np.full(len(dataset), ""))
    names = [name_of(by, *pair) for pair in zip(dataset.patients, studies, strict=True)]
    if any(names):
        return names
    cure = "by=patient" if by == "study" and any(dataset.patients) else "another recipe"
    raise UserError(
        f"--recipe study_fusion puts the films of one {by} together, which {dataset.name} has "
        f"none of in the column {by} of its manifest.csv. Prepare it with --{by}-column, or give "
        f"{cure}."
    )


def groups_of(names: list[str]) -> np.ndarray:
    """(N,) the number of each film's study, from 0 as they come; a film without a name is alone."""
    numbers: dict[object, int] = {}
    keys = (name or (place,) for place, name in enumerate(names))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], int)


def table_of(groups: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(B, V) of some films, those of a study in a line, in order; -1 fills it up.

    Args:
        groups: (N,) of all films, see `groups_of`.
        rows: (n,) of them, without repeats.
    """
    rows = np.sort(rows)
    _, place = np.unique(groups[rows], return_inverse=True)
    order = np.argsort(place, kind="stable")
    counts = np.bincount(place)
    before = np.cumsum(counts) - counts
    table = np.full((len(counts), counts.max(initial=0)), -1)
    table[place[order], np.arange(len(rows)) - before[place[order]]] = rows[order]
    return table


def of_studies(targets: Targets, table: np.ndarray) -> Targets:
    """What studies teach: a label is present if it is in any film.

    Else an uncertain film's target counts, the highest; else the label is unknown if it is in any
    film; else it is absent. `evaluate --per study` goes by the same rule.

    Args:
        targets: of N films.
        table: (B, V) of them, see `table_of`.

    Returns:
        Of B studies.
    """
    values = targets.values
    order = np.where((values > 0) & (values < 1), 2 + values, 0.0)
    for value, rank in ((MASKED, 1), (UNCERTAIN_CLASS, 4), (1.0, 5)):
        order[values == value] = rank
    if targets.weights is not None:  # of films that agree, the one that weighs most
        order += targets.weights / 1000
    ranked = np.where((table >= 0)[..., None], order[table], -1)  # (B, V, K)
    films = np.take_along_axis(table, ranked.argmax(axis=1), axis=1)  # (B, K) the one that decides
    columns = np.arange(values.shape[1])
    arrays = (values, targets.spread, targets.guessed, targets.weights)
    return Targets(*(None if array is None else array[films, columns] for array in arrays))


def fused(logits: np.ndarray, attention: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(N, K) float64: each film's study's logits, the mean of its films' by their attention.

    The weights are the softmax of the attention over the study's films, so a film alone keeps its
    own logits, exactly. Neither the films' order nor other studies change a bit.

    Args:
        logits: (N, K) of films.
        attention: (N, K) or (N, 1), before the softmax.
        groups: (N,) see `groups_of`.
    """
    logits = np.asarray(logits, np.float64)
    attention = np.broadcast_to(np.asarray(attention, np.float64), logits.shape)
    found = np.empty_like(logits)
    if not len(logits):
        return found
    for k in range(logits.shape[1]):
        # Sums are taken in one order, whatever that of the films.
        order = np.lexsort((logits[:, k], attention[:, k], groups))
        at = groups[order]
        first = np.flatnonzero(np.diff(at, prepend=at[0] - 1))
        place = np.cumsum(np.diff(at, prepend=at[0]) != 0)
        weight = attention[order, k]
        weight = np.exp(weight - np.maximum.reduceat(weight, first)[place])
        weight /= np.add.reduceat(weight, first)[place]
        found[order, k] = np.add.reduceat(weight * logits[order, k], first)[place]
    return found
