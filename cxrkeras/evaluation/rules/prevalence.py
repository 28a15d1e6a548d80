"""Positive above the training prevalence (the study's rule).

The study prints its threshold as (1 - P) n+/n-; read as the rule P > (1 - P) n+/n-, that is
P > n+/N exactly: odds above the prevalence odds.
"""

from cxrkeras.evaluation.rules import PrevalenceRule
from cxrkeras.evaluation.scores.thresholds import known_prevalence


class Part(PrevalenceRule):
    """The prevalence; NaN for 0 or 1, from which nothing is learnt."""

    def threshold(self, prevalence, distort):
        """See `PrevalenceRule`; `distort` isn't used."""
        return known_prevalence(prevalence)

    def origin(self):
        """See `PrevalenceRule`."""
        return "training prevalence"
