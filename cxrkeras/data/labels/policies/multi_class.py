"""Uncertain is a third class beside positive and negative (U-MultiClass).

Source: Irvin et al., CheXpert, AAAI 2019
"""

from cxrkeras.data.labels.entries import UNCERTAIN_CLASS
from cxrkeras.data.labels.policies import Policy


class Part(Policy):
    """U-MultiClass."""

    def ends(self) -> tuple[float, float]:
        """The third class."""
        return UNCERTAIN_CLASS, UNCERTAIN_CLASS
