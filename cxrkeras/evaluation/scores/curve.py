"""The scores of one label with their truth, sorted once for every rule that is fitted on them."""

from functools import cached_property

import numpy as np

BELOW_ALL = -1e-6  # calls a score of 0 too; a denormal number would be flushed to 0 elsewhere


class Curve:
    """What each number of levels called comes to, L levels being the distinct scores, falling.

    Args:
        y: (n,) bool, both classes among them.
        p: (n,) float64 scores in [0, 1].

    Attributes:
        levels: (L,) the distinct scores, falling.
        sensitivity, specificity, false_positive_rate: (L + 1,) where the first 0 to L levels are
            called.
    """

    def __init__(self, y: np.ndarray, p: np.ndarray):
        self.y, self.p = y, p
        levels, index = np.unique(-p, return_inverse=True)
        counts = [np.bincount(index, weights=part, minlength=len(levels)) for part in (y, ~y)]
        called, false = (np.concatenate([[0.0], np.cumsum(part)]) for part in counts)
        self.levels, self._false = -levels, false
        self.sensitivity = called / called[-1]
        self.false_positive_rate = false / false[-1]

    @cached_property
    def specificity(self) -> np.ndarray:
        """(L + 1,) float64, not rounded by a detour over the false positive rate."""
        return (self._false[-1] - self._false) / self._false[-1]

    def after(self, step: int) -> float:
        """A threshold that calls the first `step` levels and no other.

        It stands midway between the lowest score that it calls and the highest that it doesn't, so
        that rounding elsewhere (a served model's last bit) calls the same images.
        """
        levels = self.levels
        if step == len(levels) and levels[-1] == 0:
            return BELOW_ALL
        high = 1.0 if step == 0 else float(levels[step - 1])
        low = 0.0 if step == len(levels) else float(levels[step])
        middle = low + (high - low) / 2
        return middle if middle < high else low
