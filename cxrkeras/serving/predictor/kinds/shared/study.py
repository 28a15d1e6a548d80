"""A film's classifier and its attention, loaded."""

import keras
import numpy as np

from cxrkeras.models.graph import source
from cxrkeras.registry import PREDICTORS
from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.predictor.predictor import Inputs
from cxrkeras.serving.predictor.trunks import KerasPredictor, Trunk
from data_prep.errors import UserError


class StudyPredictor(KerasPredictor):
    """Where films are asked one by one, each is a study of its own.

    Args:
        card: of the model.
        film: its `model.keras`, loaded.
        attention: features (N, C) -> (N, K) or (N, 1).

    Raises:
        UserError: the files don't fit each other.
    """

    def __init__(self, card: Card, film: KerasPredictor, attention: keras.Model):
        known, names = card.facts.get("frozen"), {layer.name for layer in film.model.layers}
        if film.trunk is None and (known is None or known["features"] not in names):
            raise _unfit(card)
        trunk = film.trunk or Trunk(card, film.model, known["features"])
        super().__init__(card, film.model, trunk)
        operation, inputs = source(film.model.outputs[0])
        sized = attention.input_shape == trunk.tensor.shape and len(attention.outputs) == 1
        if operation.name != "probability" or not sized:
            raise _unfit(card)
        if attention.output_shape not in ((None, 1), (None, len(card.labels))):
            raise _unfit(card)
        self._both = keras.Model(trunk.tensor, [inputs[0], attention(trunk.tensor)])

    def per_film(self, inputs: Inputs, *, traced: bool) -> np.ndarray:
        """(B, 2K): logits, then attention."""
        features = self.trunk(inputs, traced)
        both = self._both(features, training=False)
        logits, attention = (np.asarray(keras.ops.convert_to_numpy(x), np.float64) for x in both)
        return np.concatenate([logits, np.broadcast_to(attention, logits.shape)], axis=1)

    def scores(self, inputs: Inputs, *, traced: bool) -> np.ndarray:
        """As `Predictor` says: of each film as a study of its own."""
        numbers = self.per_film(inputs, traced=traced)
        return PREDICTORS.make(self.card.kind).fused(self.card, numbers, np.arange(len(numbers)))


def _unfit(card: Card) -> UserError:
    return UserError(
        f"{card.home}: model.keras, attention.keras and model.json don't fit each other. Give "
        "the files as they were made together."
    )
