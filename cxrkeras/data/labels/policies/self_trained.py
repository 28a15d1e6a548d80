"""Uncertain entries become what a model fitted without them predicts (U-SelfTrained).

Source: Irvin et al., CheXpert, AAAI 2019
"""

from typing import ClassVar

from cxrkeras.data.labels.entries import MASKED
from cxrkeras.data.labels.policies import Policy


class Part(Policy):
    """U-SelfTrained."""

    guessed: ClassVar[bool] = True

    def ends(self) -> tuple[float, float]:
        """Masked, until there is a guess."""
        return MASKED, MASKED
