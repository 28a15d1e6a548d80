"""Binary cross-entropy of smoothed labels: 1 and 0 become a little less certain.

Source: Szegedy et al., Rethinking the Inception Architecture, CVPR 2016 (section 7), for two
classes. Smoothing of uncertain entries alone is a label policy (`--uncertain ones_lsr`).
"""

import numpy as np

from cxrkeras.data.distortion import from_log_odds
from cxrkeras.models.losses.shared.entrywise import Entrywise
from cxrkeras.registry import option


class Part(Entrywise):
    """The target y becomes (1 - epsilon) y + epsilon / 2."""

    main = "epsilon"
    epsilon: float = option(0.1, "What is taken from certainty.", ge=0, lt=1)

    def costs(self, f, counts, progress):
        """See `Entrywise.costs`."""
        from keras import ops

        rest = self.epsilon / 2
        one, zero = ops.softplus(-f), ops.softplus(f)
        return (1 - rest) * one + rest * zero, rest * one + (1 - rest) * zero

    def slopes(self, f, counts):
        """See `Entrywise.slopes`."""
        q, rest = from_log_odds(f), self.epsilon / 2
        return np.maximum(1 - rest - q, 0), np.maximum(q - rest, 0)
