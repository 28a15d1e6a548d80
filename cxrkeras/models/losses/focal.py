"""Focal loss: the better an entry is answered already, the less it is heeded.

Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017 (equations 4 and 5).
"""

from cxrkeras.models.losses.shared.entrywise import Entrywise, focused, focused_slope
from cxrkeras.registry import option


class Part(Entrywise):
    """The mean over known entries of (1 - q_t)^gamma (-ln q_t)."""

    main = "gamma"
    gamma: float = option(2.0, "How much less: 0 is plain cross-entropy.", ge=0, le=10)
    alpha: float = option(
        0.5, "Weight 2 alpha of positives; 2 (1 - alpha) of negatives.", gt=0, lt=1
    )

    def costs(self, f, counts, progress):
        """See `Entrywise.costs`."""
        positive, negative = focused(f, self.gamma), focused(-f, self.gamma)
        return 2 * self.alpha * positive, 2 * (1 - self.alpha) * negative

    def slopes(self, f, counts):
        """See `Entrywise.slopes`."""
        up, down = focused_slope(f, self.gamma), focused_slope(-f, self.gamma)
        return 2 * self.alpha * up, 2 * (1 - self.alpha) * down
