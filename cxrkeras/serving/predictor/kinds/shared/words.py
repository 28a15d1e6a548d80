"""A bag of visual words, loaded."""

import numpy as np

from cxrkeras.data.inputs import IMAGE
from cxrkeras.models.words.bag import Bag
from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.predictor.predictor import Inputs, Predictor
from data_prep.errors import UserError


class WordsPredictor(Predictor):
    """It answers film by film.

    Args:
        card: of the model.
        bag: what answers.
    """

    def __init__(self, card: Card, bag: Bag):
        super().__init__(card)
        self._bag = bag

    def scores(self, inputs: Inputs, *, traced: bool) -> np.ndarray:
        """As `Predictor` says."""
        return self._bag.scores(inputs[IMAGE])

    def lacks(self, what: str) -> UserError:
        """As `Predictor` says."""
        return UserError(
            f"{self.card.path} counts visual words (kind {self.card.kind!r}) and has no network, "
            f"so no {what}. Give another model."
        )
