"""Positive above the training prevalence, once the loss's inflation is undone.

The same operating point as `prevalence` for scores that a weighted loss inflated by w:
w pi / (w pi + 1 - pi).
"""

from typing import ClassVar

from cxrkeras.evaluation.rules import PrevalenceRule
from cxrkeras.evaluation.scores.thresholds import known_prevalence


class Part(PrevalenceRule):
    """The prevalence as distorted by the loss; NaN for 0 or 1, from which nothing is learnt."""

    needs_distortion: ClassVar[bool] = True

    def threshold(self, prevalence, distort):
        """See `PrevalenceRule`."""
        return distort(known_prevalence(prevalence))

    def origin(self):
        """See `PrevalenceRule`."""
        return "training prevalence, the loss's inflation undone"
