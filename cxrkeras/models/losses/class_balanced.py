"""Cross-entropy weighed by the effective number of a label's positives and negatives.

Source: Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019. Each label
is a problem of two classes, whose weights add up to 2 (ours).
"""

import numpy as np

from cxrkeras.models.losses.shared.entrywise import Entrywise, effective, focused, focused_slope
from cxrkeras.registry import option


class Part(Entrywise):
    """Weights (1 - beta) / (1 - beta^n), on plain or focal cross-entropy."""

    counted = True

    main = "beta"
    beta: float = option(0.9999, "From 0, no weights, towards 1: one over n.", ge=0, lt=1)
    gamma: float = option(0.0, "Focusing exponent; 0 is plain cross-entropy.", ge=0, le=10)

    def costs(self, f, counts, progress):
        """See `Entrywise.costs`."""
        from keras import ops

        positive, negative = effective(counts, self.beta, ops)
        return positive * focused(f, self.gamma), negative * focused(-f, self.gamma)

    def slopes(self, f, counts):
        """See `Entrywise.slopes`."""
        positive, negative = effective(counts, self.beta, np)
        up, down = focused_slope(f, self.gamma), focused_slope(-f, self.gamma)
        return positive * up, negative * down
