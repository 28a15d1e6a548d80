"""Several predictors as one: the mean of their probabilities, log odds or ranks."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cxrkeras.registry import PREDICTORS
from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.predictor.combine import Mix
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

    def width(self, card: Card) -> int:
        """The members' numbers side by side."""
        return sum(PREDICTORS.make(member.kind).width(member) for member in card.members)

    def fused(self, card: Card, numbers: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Of each member by its own kind, then as it combines them."""
        kinds = [PREDICTORS.make(member.kind) for member in card.members]
        ends = np.cumsum([k.width(member) for k, member in zip(kinds, card.members, strict=True)])
        parts = np.split(numbers, ends[:-1], axis=1)
        each = zip(kinds, card.members, parts, strict=True)
        return Mix.of(card)([kind.fused(member, part, groups) for kind, member, part in each])
