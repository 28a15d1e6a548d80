"""The scores and truth of one label, sorted once for all rules that are fitted on them."""

from functools import cached_property

import numpy as np

BELOW_ALL = -1e-6  # even a score of 0 exceeds it; a denormal number would be flushed to 0 elsewhere


class Curve:
    """What each threshold achieves, between L levels: the distinct scores in falling order.

    Args:
        y: (n,) bool, with both classes.
        p: (n,) float64 scores in [0, 1].

    Attributes:
        levels: (L,) the distinct scores, falling.
        sensitivity, specificity, false_positive_rate: (L + 1,) with the first 0 to L levels
            positive.
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
        """A threshold that only the first `step` levels exceed.

        It lies midway between the lowest score above and the highest below, so that rounding
        elsewhere (a served model's last bit) changes no decision.
        """
        levels = self.levels
        if step == len(levels) and levels[-1] == 0:
            return BELOW_ALL
        high = 1.0 if step == 0 else float(levels[step - 1])
        low = 0.0 if step == len(levels) else float(levels[step])
        middle = low + (high - low) / 2
        return middle if middle < high else low
