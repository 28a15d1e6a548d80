"""The same picture twice: one SOPInstanceUID, the same decoded pixels, or nearly the same picture.

A near-duplicate is a copy of one film (re-encoded, resized, brighter, slightly cropped), not a
second film of the same patient. Two steps tell them apart: a perceptual hash proposes pairs
(`signatures.py`, `pairs.py`), and a registration of the prepared pixels decides (`similarity.py`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.dataset.copies.pairs import candidate_pairs, pairs_between

CROWD = 256  # films like which a film looks without copying them: of 1,378 real ones none has one
_BATCH = 4096  # candidate pairs confirmed at once

Confirmed = Callable[[list[tuple[int, int]]], list[bool]]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two records that hold one picture.

    Attributes:
        kept, dropped: their numbers; the first in order is kept.
        kind: `sop`, `pixels` or `near`.
    """

    kept: int
    dropped: int
    kind: str


def exact_duplicates(values: Iterable[str | None], kind: str) -> list[Duplicate]:
    """Every later record with the value (UID or digest) of an earlier one; None has no copy."""
    first: dict[str, int] = {}
    found = []
    for number, value in enumerate(values):
        if value is not None and first.setdefault(value, number) != number:
            found.append(Duplicate(first[value], number, kind))
    return found


def near_duplicates(
    numbers: list[int], signatures: list[str], confirmed: Confirmed
) -> tuple[list[Duplicate], int]:
    """Copies of one film among records without exact duplicates.

    A film with the signature of more than `CROWD` others that it doesn't copy, such as one that is
    nearly black, isn't known by its signature: it and they are looked at no further, since pairs
    of such films grow with the square of their number.

    Args:
        numbers: the records, in order.
        signatures: one per record.
        confirmed: says of each pair of records whether its pixels are one film's.

    Returns:
        (copies, how many films were in such crowds). A record is dropped for the first kept one
        that it copies; chains don't drag others along.
    """
    wanted = np.ones(len(numbers), bool)
    found, crowded = [], 0
    row, others = -1, []
    for batch in _batches(candidate_pairs(signatures, wanted=wanted)):
        pairs = batch[wanted[batch].all(axis=1)].tolist()
        answers = confirmed([(numbers[i], numbers[j]) for i, j in pairs])
        for (i, j), same in zip(pairs, answers, strict=True):
            row, others = (row, others) if i == row else (i, [])
            if not (wanted[i] and wanted[j]):
                continue
            if same:
                wanted[j] = False
                found.append(Duplicate(numbers[i], numbers[j], "near"))
                continue
            others.append(j)
            if len(others) > CROWD:
                gone = others if len(others) == CROWD + 1 else [j]
                wanted[gone] = False
                crowded += len(gone) + (gone is others)
    return found, crowded


def copies_between(first: list[str], second: list[str], confirmed: Confirmed) -> list[int]:
    """The images of one dataset that copy a film of another.

    Args:
        first: signatures of the other dataset's images.
        second: those of the dataset's.
        confirmed: says of pairs (place in `first`, place in `second`) whether they are one film.

    Returns:
        Places in `second`, in order.
    """
    left = np.ones(len(second), bool)
    for batch in _batches(pairs_between(first, second)):
        pairs = [(i, j) for i, j in batch[left[batch[:, 1]]].tolist()]
        copies = [j for (_, j), same in zip(pairs, confirmed(pairs), strict=True) if same]
        left[copies] = False
    return np.flatnonzero(~left).tolist()


def _batches(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    for block in blocks:
        for start in range(0, len(block), _BATCH):
            yield block[start : start + _BATCH]
