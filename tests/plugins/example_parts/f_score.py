"""The largest F score; of several thresholds, the highest.

Source: van Rijsbergen, Information Retrieval, 1979.
"""

import numpy as np

from cxrkeras.evaluation.rules import FittedRule
from cxrkeras.registry import option


class Part(FittedRule):
    """F = (1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP)."""

    main = "beta"
    beta: float = option(1.0, "How much more sensitivity counts than precision.", gt=0, le=10)

    def threshold(self, curve):
        """See `FittedRule`."""
        positives, negatives = curve.y.sum(), (~curve.y).sum()
        found, weight = curve.sensitivity * positives, self.beta**2
        false = curve.false_positive_rate * negatives
        score = (1 + weight) * found / (weight * positives + found + false)
        return curve.after(int(np.argmax(score)))

    def origin(self):
        """See `FittedRule`."""
        return f"F score with beta {self.beta:g}"
