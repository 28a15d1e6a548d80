"""Asymmetric loss: negatives are heeded less than positives, and not at all below a probability.

Source: Ridnik et al., Asymmetric Loss For Multi-Label Classification, ICCV 2021 (equation 7). Their
code doesn't let gradients pass the focusing weights; here, as in the paper, they do.
"""

import numpy as np

from cxrkeras.data.distortion import from_log_odds
from cxrkeras.models.losses.shared.entrywise import Entrywise, focused, focused_slope
from cxrkeras.registry import option


class Part(Entrywise):
    """(1 - q)^positive (-ln q), and with q' = max(q - clip, 0): q'^negative (-ln(1 - q')).

    At its optimum a score q below `clip` stands for a probability of 0.
    """

    positive: float = option(1.0, "Focusing exponent of positives.", ge=0, le=10)
    negative: float = option(4.0, "Focusing exponent of negatives.", ge=0, le=10)
    clip: float = option(0.05, "Probability that negatives are forgiven.", ge=0, lt=0.5)

    def costs(self, f, counts, progress):
        """See `Entrywise.costs`."""
        from keras import ops

        if not self.clip:
            return focused(f, self.positive), focused(-f, self.negative)
        # At least 1 - q is `clip` away from 0, so that no logarithm or power runs off.
        less = ops.maximum(ops.sigmoid(f) - self.clip, 0.0)
        power = ops.power(ops.maximum(less, _LEAST), self.negative) if self.negative else 1.0
        return focused(f, self.positive), power * -ops.log(1 - less)

    def slopes(self, f, counts):
        """See `Entrywise.slopes`."""
        up = focused_slope(f, self.positive)
        if not self.clip:
            return up, focused_slope(-f, self.negative)
        q, g = from_log_odds(f), self.negative
        less = np.maximum(q - self.clip, 0)
        with np.errstate(divide="ignore"):
            powered = g * less ** (g - 1) * -np.log1p(-less) if g else 0.0
        rise = (powered + less**g / (1 - less)) * q * from_log_odds(-f)
        return up, np.where(less > 0, rise, 0.0)


_LEAST = 1e-12  # below it a power's own slope would be infinite
