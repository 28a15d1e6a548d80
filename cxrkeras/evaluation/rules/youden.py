"""The largest sum of sensitivity and specificity; of several thresholds, the highest.

The argmax of scikit-learn's `roc_curve` is the same.

Source: Youden WJ. Index for rating diagnostic tests. Cancer 1950.
"""

import numpy as np

from cxrkeras.evaluation.rules import FittedRule


class Part(FittedRule):
    """Maximises Youden's J, sensitivity + specificity - 1."""

    def threshold(self, curve):
        """See `FittedRule`."""
        return curve.after(int(np.argmax(curve.sensitivity - curve.false_positive_rate)))

    def origin(self):
        """See `FittedRule`."""
        return "Youden"
