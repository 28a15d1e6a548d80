"""Uncertain means about as likely as not: the target is drawn from a range in each epoch.

Source: Pham et al., Neurocomputing 2021 (label smoothing), about the middle.
"""

from cxrkeras.data.labels.policies.shared.smoothed import Smoothed, highest, lowest


class Part(Smoothed):
    """Drawn from U(low, high)."""

    low: float = lowest(0.35)
    high: float = highest(0.65)
