"""A Keras model of films, and an attention that makes the films of a study one answer.

`model.json` says under `studies` what makes a study; the film's own classifier is `model.keras`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cxrkeras.data.studies import fused
from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.predictor.kinds import Kind

if TYPE_CHECKING:
    from cxrkeras.serving.predictor.predictor import Predictor
    from cxrkeras.serving.predictor.trunks import Trunks

FILE = "attention.keras"


class Part(Kind):
    """See `Kind`. Its numbers of a film: K logits, then their K attentions."""

    def files(self, card: Card) -> Mapping[str, Path]:
        """The film's classifier and the attention."""
        return {"model.keras": card.file, FILE: card.home / FILE}

    def load(self, card: Card, trunks: "Trunks") -> "Predictor":
        """Load both, on a trunk that others have too where its card says so."""
        from cxrkeras.serving.predictor.keras_file import load_keras
        from cxrkeras.serving.predictor.kinds.shared.study import StudyPredictor

        attention = load_keras(card.home / FILE, card.facts.get("package") or ())
        return StudyPredictor(card, trunks.load(card), attention)

    def width(self, card: Card) -> int:
        """See `Kind.width`."""
        return 2 * len(card.labels)

    def fused(self, card: Card, numbers: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """See `Kind.fused`; a film alone keeps its own score, exactly."""
        from scipy.special import expit

        logits, attention = np.split(numbers, 2, axis=1)
        return expit(fused(logits, attention, groups))
