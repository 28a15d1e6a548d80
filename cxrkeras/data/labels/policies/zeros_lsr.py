"""Uncertain means probably absent: each epoch draws the target from a range (U-Zeros+LSR).

Source: Pham et al., Neurocomputing 2021
"""

from cxrkeras.data.labels.policies.shared.smoothed import Smoothed, highest, lowest


class Part(Smoothed):
    """U-Zeros with label smoothing."""

    low: float = lowest(0.0)
    high: float = highest(0.3)
