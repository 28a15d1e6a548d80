"""Signatures that differ in few bits, found by a part of their bits in which they nearly agree.

The 256 bits are dealt out to 16 parts, each with a share of limit + 1. If two signatures differ in
at most `limit` bits, their differences less the shares sum to less than 0 over the ring of parts;
so there is a part from which on every partial sum is below 0 (the cycle lemma: the one behind the
largest partial sum). Only such pairs are looked at: their first part differs in fewer bits than
its share, by which an index finds them; their first three in fewer than three shares, which is
looked at for whole blocks of pairs; their first five likewise; whoever is left is compared in full.

Source: Norouzi, Punjani, Fleet: Fast exact search in Hamming space with multi-index hashing, IEEE
TPAMI 2014; Qin, Xiao: Pigeonring, PVLDB 2018 (theorem 3). The parts, by what the bits of these
signatures share, and the pages are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

PARTS = WIDTH = 16
MOST = 1 << 22  # pairs that are given at once
_SAMPLE = 1024
_CHUNK = 1 << 17  # pairs looked at at once: they stay within the processor's cache
_PAIRED = 1 << 20  # pairs of pages laid out at once
_ROWS = 1 << 16
_MANY = 1 << 19
_KEYS = 1 << WIDTH


class TooMany(Exception):
    """There are more than `MOST` pairs."""


def indexed(first: np.ndarray, second: np.ndarray | None, limit: int) -> np.ndarray:
    """All pairs that differ in at most `limit` bits.

    Args:
        first: (N, 32) uint8.
        second: (M, 32) uint8; None for `first` itself.
        limit: bits, at least 0.

    Returns:
        (K, 2) int64: places in first and second, in order; within one, the lesser place first.

    Raises:
        TooMany: as soon as that is known.
    """
    dealt, shares = _deal(first, limit)
    one = _arranged(first, dealt)
    other = one if second is None else _arranged(second, dealt)
    found = _Found(alone=second is None)
    slots = 8 if len(other) > _MANY else 4  # of a page, of which most are to be filled
    for part in range(PARTS):
        turned = np.roll(shares, -part)
        pages = _Pages.of(one, part, slots)
        others = pages if other is one else _Pages.of(other, part, slots)
        _search(pages, others, turned, limit, found)
    return found.all()


def _deal(signatures: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """The bits in the order of their parts, and the parts' shares.

    Bits that are alike, or hardly vary, would make a part in which many films agree: each goes to
    the part with whose bits it is correlated least. What the shares don't divide evenly goes to
    the part in which the fewest then agree.
    """
    step = max(1, len(signatures) // _SAMPLE)
    sample = np.unpackbits(signatures[::step][:_SAMPLE], axis=1).astype(np.float32)
    centred = sample - sample.mean(0)
    spread = np.sqrt((centred**2).sum(0))
    alike = (centred.T @ centred / np.maximum(np.outer(spread, spread), 1e-6)) ** 2
    parts: list[list[int]] = [[] for _ in range(PARTS)]
    load = np.zeros((PARTS, sample.shape[1]))
    for bit in np.argsort(-alike.sum(1), kind="stable"):
        free = [part for part in range(PARTS) if len(parts[part]) < WIDTH]
        best = min(free, key=lambda part: (load[part, bit] + 0.02 * len(parts[part]), part))
        parts[best].append(int(bit))
        load[best] += alike[bit]
    share, more = divmod(limit + 1, PARTS)
    agree = [_agreement(sample[:, part], share) for part in parts]
    order = np.argsort(agree, kind="stable")
    return np.array(parts)[order].ravel(), np.array([share + 1] * more + [share] * (PARTS - more))


def _agreement(bits: np.ndarray, most: int) -> float:
    """The share of pairs of rows that differ in at most so many bits."""
    ones = bits.sum(1)
    return float((ones[:, None] + ones[None] - 2 * bits @ bits.T <= most + 0.5).mean())


def _arranged(signatures: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(N, 16) uint16: the bits in that order."""
    found = np.empty((len(signatures), PARTS), np.uint16)
    for start in range(0, len(signatures), _ROWS):
        bits = np.unpackbits(signatures[start : start + _ROWS], axis=1).take(order, axis=1)
        found[start : start + _ROWS] = np.packbits(bits, axis=1).view(np.uint16)
    return found


@dataclass(frozen=True)
class _Pages:
    """Signatures by one part, their key: those of a key fill pages of a few, the last in part.

    Attributes:
        key: of each page; start, count: the first page of each key, and how many it has.
        near: (P, slots) uint32: the next two parts of each signature; any bits in empty slots.
        further: (P * slots,) uint32: the two parts after those.
        place: (P * slots,) the signature's place in the table; -1 for none.
        whole: (N, 4) uint64: the table.
    """

    key: np.ndarray
    start: np.ndarray
    count: np.ndarray
    near: np.ndarray
    further: np.ndarray
    place: np.ndarray
    whole: np.ndarray

    @classmethod
    def of(cls, signatures: np.ndarray, part: int, slots: int) -> "_Pages":
        """Pages by a part of (N, 16) uint16."""
        keys = signatures[:, part]
        order = np.argsort(keys, kind="stable")
        held = np.bincount(keys, minlength=_KEYS)
        count = -(-held // slots)
        start = np.cumsum(count) - count
        sorted_keys = keys[order]
        within = np.arange(len(keys)) - (np.cumsum(held) - held)[sorted_keys]
        at = start[sorted_keys] * slots + within
        room = int(count.sum()) * slots
        place = np.full(room, -1, np.int32)
        place[at] = order
        near, further = np.arange(room, dtype=np.uint32) * 2654435761, np.zeros(room, np.uint32)
        near[at] = _two_parts(signatures, part + 1)[order]
        further[at] = _two_parts(signatures, part + 3)[order]
        key = np.repeat(np.arange(_KEYS), count)
        return cls(
            key, start, count, near.reshape(-1, slots), further, place, signatures.view(np.uint64)
        )


def _two_parts(signatures: np.ndarray, part: int) -> np.ndarray:
    """(N,) uint32: a part and the next."""
    two = signatures[:, [part % PARTS, (part + 1) % PARTS]]
    return np.ascontiguousarray(two).view(np.uint32)[:, 0]


class _Found:
    """Pairs, each of which several parts may find."""

    def __init__(self, *, alone: bool) -> None:
        self.alone = alone
        self._blocks: list[np.ndarray] = []
        self._count = 0

    def add(self, first: np.ndarray, second: np.ndarray) -> None:
        """Keep pairs of places.

        Raises:
            TooMany: there are more than `MOST`.
        """
        if self.alone:
            first, second = np.minimum(first, second), np.maximum(first, second)
        self._blocks.append(first.astype(np.int64) << 32 | second)
        self._count += len(first)
        if self._count > MOST:
            self._unite()
            if self._count > MOST // 2:
                raise TooMany

    def _unite(self) -> None:
        self._blocks = [np.unique(np.concatenate(self._blocks))] if self._blocks else []
        self._count = sum(map(len, self._blocks))

    def all(self) -> np.ndarray:
        """(K, 2) int64, each once, in order."""
        self._unite()
        codes = self._blocks[0] if self._blocks else np.empty(0, np.int64)
        return np.stack([codes >> 32, codes & 0xFFFFFFFF], axis=1)


def _search(first: _Pages, second: _Pages, shares: np.ndarray, limit: int, found: _Found) -> None:
    """Find the pairs whose keys differ in fewer bits than the first share."""
    desk = np.empty(_CHUNK, np.uint32), np.empty(_CHUNK, np.uint8), np.empty(_CHUNK, bool)
    for differing in range(shares[0]):
        rooms = tuple(int(shares[:parts].sum()) - 1 - differing for parts in (3, 5))
        for bits in combinations(range(WIDTH), differing):
            for one, other in _page_pairs(first, second, bits):
                i, j = _look(first, second, one, other, rooms, desk)
                _compare(first, second, i, j, limit, found)


def _page_pairs(
    first: _Pages, second: _Pages, bits: tuple[int, ...]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of pages whose keys differ in these bits; of one table with itself, each pair once."""
    pages = np.arange(len(first.key))
    if first is second and bits:
        pages = pages[first.key & (1 << bits[-1]) == 0]
    partner = first.key[pages] ^ sum(1 << bit for bit in bits)
    start, count = second.start[partner], second.count[partner]
    if first is second and not bits:
        start, count = pages, start + count - pages
    pages, start, count = (values[count > 0] for values in (pages, start, count))
    ends = np.cumsum(count)
    step = max(1, _CHUNK // first.near.shape[1] ** 2)
    done = 0
    while done < len(pages):
        before = ends[done - 1] if done else 0
        stop = max(done + 1, int(np.searchsorted(ends, before + _PAIRED)))
        part = slice(done, stop)
        one = np.repeat(pages[part], count[part])
        shift = start[part] - (ends[part] - count[part] - before)
        other = np.arange(len(one)) + np.repeat(shift, count[part])
        for place in range(0, len(one), step):
            yield one[place : place + step], other[place : place + step]
        done = stop


def _look(
    first: _Pages,
    second: _Pages,
    one: np.ndarray,
    other: np.ndarray,
    rooms: tuple[int, int],
    desk: tuple[np.ndarray, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Slots in the two tables of what is left when those of pairs of pages are compared.

    `rooms` are the most bits in which the next two parts, and the next four, may differ, and
    `desk` is space to work on.
    """
    rows = np.ascontiguousarray(first.near.take(one, axis=0).T)
    columns = np.ascontiguousarray(second.near.take(other, axis=0).T)
    slots = len(rows)
    shape = slots, slots, len(one)
    differing, count, close = (space[: slots * slots * len(one)].reshape(shape) for space in desk)
    np.bitwise_xor(rows[:, None], columns[None], out=differing)
    np.bitwise_count(differing, out=count)
    np.less_equal(count, rooms[0], out=close)
    left = np.flatnonzero(close)
    slot = left // len(one)
    pair = left - slot * len(one)
    i = one[pair] * slots + slot // slots
    j = other[pair] * slots + slot % slots
    both = count.ravel()[left] + np.bitwise_count(first.further[i] ^ second.further[j])
    kept = both <= rooms[1]
    return i[kept], j[kept]


def _compare(
    first: _Pages, second: _Pages, i: np.ndarray, j: np.ndarray, limit: int, found: _Found
) -> None:
    """Keep those of the pairs of slots that differ in at most `limit` bits."""
    i, j = first.place[i], second.place[j]
    kept = (i >= 0) & (j >= 0)
    if first is second:
        kept &= i != j
    i, j = i[kept], j[kept]
    close = np.bitwise_count(first.whole[i] ^ second.whole[j]).sum(1, dtype=np.uint16) <= limit
    if close.any():
        found.add(i[close], j[close])
