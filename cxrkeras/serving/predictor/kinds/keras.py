"""A Keras model: `model.keras`, or another `.keras` file with its model.json beside it."""

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
        """The one file."""
        return {"model.keras": card.file}

    def load(self, card: Card, trunks: "Trunks") -> "Predictor":
        """Load it, on a trunk that others have too where its card says so."""
        return trunks.load(card)
