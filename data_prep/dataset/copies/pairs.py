"""All pairs of signatures that differ in few bits, in order: exactly those of the double loop.

Few are compared one with another. Among many, an index proposes pairs (`index.py`).
"""

from collections.abc import Iterator

import numpy as np

from data_prep.dataset.copies.index import TooMany, indexed
from data_prep.dataset.copies.signatures import HASH_LIMIT, packed

_FEW = 1 << 31  # comparisons that are made sooner without an index: in ten seconds
_WIDEST = 63  # bits of a limit: beyond it nearly all pairs share a part of their bits
_BLOCK = 1 << 17  # compared at once: they stay within the processor's cache


def candidate_pairs(
    signatures: list[str], limit: int = HASH_LIMIT, *, wanted: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """All pairs of signatures that differ in at most `limit` bits, in order.

    Memory is bounded, whatever the signatures: where too many are alike, fewer rows are compared
    at once (experiments/bench/near_copies.py measures it among 1,000,000).

    Args:
        signatures: N.
        limit: bits.
        wanted: (N,) bool, looked at as the search goes on: pairs of signatures that were no longer
            wanted when their turn came are left out. All if None.

    Yields:
        (M, 2) int64: places i < j, by i, then j, going on from those before.
    """
    bits = packed(signatures)
    wanted = np.ones(len(bits), bool) if wanted is None else wanted
    yield from _between(bits, bits, 0, len(bits), limit, wanted)


def pairs_between(
    first: list[str], second: list[str], limit: int = HASH_LIMIT
) -> Iterator[np.ndarray]:
    """All pairs of a signature of each list that differ in at most `limit` bits, in order.

    Yields:
        (M, 2) int64: places in the two lists, by the first, then the second.
    """
    one, other = packed(first), packed(second)
    yield from _between(one, other, 0, len(one), limit, None)


def _between(
    first: np.ndarray,
    second: np.ndarray,
    start: int,
    stop: int,
    limit: int,
    wanted: np.ndarray | None,
) -> Iterator[np.ndarray]:
    """The pairs of rows from `start` to `stop` of the first; where `wanted`, with later ones."""
    rows = np.arange(start, stop)
    others = np.arange(len(second))
    if wanted is not None:
        rows = rows[wanted[rows]]
        others = start + np.flatnonzero(wanted[start:])
    if len(rows) < 2 or len(rows) * len(others) <= _FEW or limit > _WIDEST:
        yield from _compared(first, second, rows, others, limit, wanted)
        return
    alone = wanted is not None and len(rows) == len(others)
    try:
        pairs = indexed(first[rows], None if alone else second[others], limit)
    except TooMany:
        middle = (start + stop) // 2
        yield from _between(first, second, start, middle, limit, wanted)
        yield from _between(first, second, middle, stop, limit, wanted)
        return
    pairs = np.stack([rows[pairs[:, 0]], others[pairs[:, 1]]], axis=1)
    yield pairs if wanted is None else pairs[pairs[:, 0] < pairs[:, 1]]


def _compared(
    first: np.ndarray,
    second: np.ndarray,
    rows: np.ndarray,
    others: np.ndarray,
    limit: int,
    wanted: np.ndarray | None,
) -> Iterator[np.ndarray]:
    """Every pair, by XOR and bit counts on whole blocks."""
    one = np.ascontiguousarray(first.view(np.uint64).T)
    place = 0
    other = np.ascontiguousarray(second[others].view(np.uint64).T)
    while place < len(rows) and len(others):
        begin = 0 if wanted is None else int(np.searchsorted(others, rows[place]))
        block = rows[place : place + max(1, _BLOCK // max(1, len(others) - begin))]
        place += len(block)
        block = block if wanted is None else block[wanted[block]]
        distance = np.zeros((len(block), len(others) - begin), np.uint16)
        for word, words in zip(one, other, strict=True):
            distance += np.bitwise_count(word[block][:, None] ^ words[None, begin:])
        here, there = np.nonzero(distance <= limit)
        pairs = np.stack([block[here], others[begin + there]], axis=1)
        if wanted is not None:
            pairs = pairs[(pairs[:, 0] < pairs[:, 1]) & wanted[pairs[:, 1]]]
        if len(pairs):
            yield pairs
