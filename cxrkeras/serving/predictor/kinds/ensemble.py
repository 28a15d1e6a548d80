"""Several predictors as one: the mean of their probabilities, log odds or ranks."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.predictor.kinds import Kind

if TYPE_CHECKING:
    from cxrkeras.serving.predictor.predictor import Predictor
    from cxrkeras.serving.predictor.trunks import Trunks


class Part(Kind):
    """See `Kind`."""

    def files(self, card: Card) -> Mapping[str, Path]:
        """None of its own: members are copied with it."""
        return {}

    def load(self, card: Card, trunks: "Trunks") -> "Predictor":
        """Load every member by its own kind."""
        from cxrkeras.serving.predictor.ensemble import Ensemble
        from cxrkeras.serving.predictor.loaded import load_with

        return Ensemble(card, [load_with(member, trunks) for member in card.members])
