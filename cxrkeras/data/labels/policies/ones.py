"""Uncertain means present: the target is 1 (U-Ones).

Source: Irvin et al., CheXpert, AAAI 2019
"""

from cxrkeras.data.labels.policies import Policy


class Part(Policy):
    """U-Ones."""

    def ends(self) -> tuple[float, float]:
        """1."""
        return 1.0, 1.0
