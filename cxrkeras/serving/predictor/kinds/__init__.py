"""Kinds of predictors: what may stand in a model folder. Here is what one must be.

`model.json` names the kind (absent: `keras`): a module of this folder, or of another package under
the entry point of that name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cxrkeras.registry import Part

if TYPE_CHECKING:
    from cxrkeras.serving.predictor.card import Card
    from cxrkeras.serving.predictor.predictor import Predictor
    from cxrkeras.serving.predictor.trunks import Trunks


class Kind(Part):
    """A kind of predictor, by which `model.json` is read, copied and loaded.

    Most kinds answer film by film. One that answers for the films of a study together says in
    `model.json` under `studies` what makes a study, gives `width` numbers of each film
    (`Predictor.per_film`), in whatever batches and processes, and makes scores of all of them
    (`fused`), without Keras.
    """

    def files(self, card: "Card") -> Mapping[str, Path]:
        """What a copy of the model folder needs beside model.json: {name there: file}.

        Raises:
            UserError: one is missing.
        """
        raise NotImplementedError

    def load(self, card: "Card", trunks: "Trunks") -> "Predictor":
        """Load it.

        Args:
            card: of the model.
            trunks: those that several models of one call share.

        Raises:
            UserError: a file is damaged, or doesn't fit its card.
        """
        raise NotImplementedError

    def width(self, card: "Card") -> int:
        """How many numbers `Predictor.per_film` gives of a film."""
        return len(card.labels)

    def fused(self, card: "Card", numbers: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """(N, K) scores of films.

        Args:
            card: of the model.
            numbers: (N, W) float64 of the films, in any order.
            groups: (N,) the study of each, see `data.studies.groups_of`.
        """
        return numbers
