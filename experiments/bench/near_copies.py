"""Near copies among many films.

Signatures are drawn with the frequencies and correlations of the bits of real films' signatures, so
that the index's buckets are as uneven. The pairs of a part of them are compared with those of the
plain comparison of each with each, whose time for all is worked out from a part of its rows.
"""

import json
import sys
import time
from pathlib import Path
from typing import ClassVar

import numpy as np

from data_prep.registry import option
from experiments.bench import Measurement, Row
from experiments.bench.shared import skew

_PLACES = ("nih_target/images", "nih_source/images")


class Part(Measurement):
    """See the module's docstring."""

    small: ClassVar = {"signatures": 3000, "checked": 1000, "rows": 50}

    signatures: int = option(1_000_000, "How many are searched.", ge=2)
    checked: int = option(20_000, "Of these, compared with the plain comparison's pairs.", ge=2)
    rows: int = option(500, "Of the plain comparison, to work its time out from.", ge=1)

    def measure(self, stand):
        """Time against the plain comparison, memory, and pairs that differ."""
        if stand.small:
            bits = skew.invented()
        else:
            bits = skew.bits_of([p for at in _PLACES for p in sorted(stand.real(at).glob("*.png"))])
        made = skew.drawn(bits, self.signatures)
        file = stand.scratch / "signatures.npy"
        np.save(file, made)
        runs = []

        def ours() -> float:
            runs.append(stand.run("-m", "experiments.bench.near_copies", file))
            return runs[-1].answer["seconds"]

        share = 2 * self.rows / len(made)  # each pair is compared once
        found = stand.in_turn(ours=ours, peer=lambda: _plain(made, self.rows) / share)
        work = f"{len(made):,} signatures, {runs[0].answer['pairs']:,} pairs"
        note = f"The plain comparison's time is worked out from {self.rows:,} of its rows."
        yield Row(work, "CPU-s", **found, against="each compared with each", note=note)
        yield Row(f"{work}: processor time", "CPU-s", found["ours"], at_most=100)
        yield Row(f"{work}: peak memory", "MB", [r.peak_mb for r in runs], at_most=1000)
        few = made[: self.checked]
        differing = len(_indexed(few) ^ _compared(few))
        yield Row(f"pairs that differ, of {len(few):,}", "pairs", [differing], at_most=0)


def _plain(made: np.ndarray, rows: int) -> float:
    """Processor time for comparing some rows with all."""
    words = np.ascontiguousarray(made.view(np.uint64).T)
    start = time.process_time()
    for row in range(rows):
        distance = sum(np.bitwise_count(word ^ word[row]) for word in words)
        np.flatnonzero(distance <= 48)
    return time.process_time() - start


def _indexed(made: np.ndarray) -> set[tuple[int, int]]:
    from data_prep.dataset.copies.index import indexed

    return set(map(tuple, indexed(made, None, 48).tolist()))


def _compared(made: np.ndarray) -> set[tuple[int, int]]:
    words = made.view(np.uint64)
    found = set()
    for row in range(len(made) - 1):
        distance = np.bitwise_count(words[row + 1 :] ^ words[row]).sum(axis=1)
        found |= {(row, row + 1 + int(place)) for place in np.flatnonzero(distance <= 48)}
    return found


def _search(file: Path) -> None:
    """Print how many pairs there are, and the processor time, in a process of its own."""
    from data_prep.dataset.copies.pairs import candidate_pairs

    signatures = [row.tobytes().hex() for row in np.load(file)]
    start = time.process_time()
    pairs = sum(map(len, candidate_pairs(signatures)))
    print(json.dumps({"pairs": pairs, "seconds": time.process_time() - start}))


if __name__ == "__main__":
    _search(Path(sys.argv[1]))
