"""A bag of visual words with a linear machine per label: `phow.safetensors`, no network."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cxrkeras.models.words import FILE
from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.predictor.kinds import Kind

if TYPE_CHECKING:
    from cxrkeras.serving.predictor.predictor import Predictor
    from cxrkeras.serving.predictor.trunks import Trunks


class Part(Kind):
    """See `Kind`."""

    def files(self, card: Card) -> Mapping[str, Path]:
        """The one file."""
        return {FILE: card.home / FILE}

    def load(self, card: Card, trunks: "Trunks") -> "Predictor":
        """Load it."""
        from cxrkeras.models.words.bag import load_bag
        from cxrkeras.serving.predictor.kinds.shared.words import WordsPredictor

        bag = load_bag(card.home / FILE, len(card.labels), card.image_size)
        return WordsPredictor(card, bag)
