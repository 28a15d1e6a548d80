"""Which labels count in means over labels."""

from collections.abc import Sequence

import numpy as np

from data_prep.tables.vocabulary import NIH14, NIH15, canonical

_FINDINGS = frozenset(map(canonical, NIH14))
_NIH15 = frozenset(map(canonical, NIH15))


def counted(labels: Sequence[str]) -> np.ndarray:
    """(K,) bool: all labels; of ChestX-ray14's and No Finding (`nih15`) the 14 findings alone.

    No Finding follows from the others, and published means are over the 14.
    """
    names = [canonical(label) for label in labels]
    apart = set(names) == _NIH15
    return np.array([not apart or name in _FINDINGS for name in names], bool)


def left_out(labels: Sequence[str]) -> list[str]:
    """The labels that don't count, in order."""
    return [label for label, counts in zip(labels, counted(labels), strict=True) if not counts]
