"""Uncertain means rather absent: the target is drawn anew from a range in each epoch (U-Zeros+LSR).

Source: Pham et al., Neurocomputing 2021
"""

from cxrkeras.data.labels.policies.shared.smoothed import Smoothed, highest, lowest


class Part(Smoothed):
    """U-Zeros with label smoothing."""

    low: float = lowest(0.0)
    high: float = highest(0.3)
