"""Which of the prepared files are dropped as copies of others."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from data_prep.dataset.copies.duplicates import CROWD, Duplicate, exact_duplicates, near_duplicates
from data_prep.dataset.journal import Journal
from data_prep.dataset.pool import spread
from data_prep.dataset.publish import WARNING
from data_prep.dataset.worker import Result, same_film

_FEW_PAIRS = 100  # fewer are confirmed sooner here than in new processes


def copies_in(
    results: list[Result], journal: Journal, workers: int, near: bool
) -> tuple[list[Duplicate], list[str]]:
    """Same SOPInstanceUID, then same pixels, then nearly the same; the first in order stays.

    Args:
        results: of all files, in the records' order.
        journal: where the prepared images are.
        workers: processes that compare pixels.
        near: look for near-duplicates as well as exact ones.

    Returns:
        (the copies, remarks on the search).
    """
    left = [number for number, result in enumerate(results) if result.reason is None]
    found: list[Duplicate] = []
    crowded = 0
    for kind in ("sop", "pixels"):
        values = [results[n].sop if kind == "sop" else results[n].digest for n in left]
        copies = exact_duplicates(values, kind)
        found += [Duplicate(left[d.kept], left[d.dropped], kind) for d in copies]
        gone = {copy.dropped for copy in copies}
        left = [number for place, number in enumerate(left) if place not in gone]
    if near and left:
        signatures = [results[number].signature for number in left]
        images = {number: journal.image(results[number].id) for number in left}
        copies, crowded = near_duplicates(left, signatures, partial(_confirm, images, workers))
        found += copies
    kept_for = {duplicate.dropped: duplicate.kept for duplicate in found}
    found = [Duplicate(_root(d.kept, kept_for), d.dropped, d.kind) for d in found]
    remarks = [
        f"{WARNING}{crowded} films look like more than {CROWD} others that they don't copy: near "
        "copies among them weren't looked for"
    ] * bool(crowded)
    return sorted(found, key=lambda duplicate: duplicate.dropped), remarks


def _root(number: int, kept_for: dict[int, int]) -> int:
    """The record that stays, where the one kept at first was itself dropped later."""
    while number in kept_for:
        number = kept_for[number]
    return number


def _confirm(images: dict[int, Path], workers: int, pairs: list[tuple[int, int]]) -> list[bool]:
    paths = {(images[first], images[second]): None for first, second in pairs}
    answers = dict(spread(same_film, paths, workers if len(pairs) > _FEW_PAIRS else 0))
    return [answers[images[first], images[second]] is True for first, second in pairs]


def one_film(results: list[Result], journal: Journal, duplicate: Duplicate) -> bool:
    """Whether it shows the film that is kept: not if an empty picture, or another, has its UID."""
    pair = results[duplicate.kept], results[duplicate.dropped]
    first, second = (journal.image(result.id) for result in pair)
    return duplicate.kind == "near" or same_film((first, second))


def unlike_copies(
    duplicates: list[Duplicate], results: list[Result], one_film: Callable[[Duplicate], bool]
) -> list[str]:
    """A warning where one SOPInstanceUID stands on different pictures: poor anonymisation."""
    unlike = 0
    for duplicate in duplicates:
        pair = results[duplicate.kept], results[duplicate.dropped]
        if duplicate.kind == "sop" and pair[0].digest != pair[1].digest:
            unlike += not one_film(duplicate)
    return [
        f"{WARNING}{unlike} files dropped as duplicates have the SOPInstanceUID of another file "
        "but a different picture: correct the UIDs if these are different films"
    ] * bool(unlike)
