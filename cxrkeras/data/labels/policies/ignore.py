"""Uncertain entries teach nothing: the entry is masked, not the image (U-Ignore).

Source: Irvin et al., CheXpert, AAAI 2019
"""

from cxrkeras.data.labels.entries import MASKED
from cxrkeras.data.labels.policies import Policy


class Part(Policy):
    """U-Ignore."""

    def ends(self) -> tuple[float, float]:
        """Masked."""
        return MASKED, MASKED
