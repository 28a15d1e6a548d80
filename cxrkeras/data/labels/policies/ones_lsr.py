"""Uncertain means probably present: each epoch draws the target from a range (U-Ones+LSR).

Source: Pham et al., Neurocomputing 2021
"""

from cxrkeras.data.labels.policies.shared.smoothed import Smoothed, highest, lowest


class Part(Smoothed):
    """U-Ones with label smoothing."""

    low: float = lowest(0.55)
    high: float = highest(0.85)
