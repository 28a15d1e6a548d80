"""Uncertain means absent: the target is 0 (U-Zeros).

Source: Irvin et al., CheXpert, AAAI 2019
"""

from cxrkeras.data.labels.policies import Policy


class Part(Policy):
    """U-Zeros."""

    def ends(self) -> tuple[float, float]:
        """0."""
        return 0.0, 0.0
