"""Kinds of predictors: what may stand in a model folder. Here is what one must be.

`model.json` names the kind (absent: `keras`): a module of this folder, or of another package under
the entry point of that name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cxrkeras.registry import Part

if TYPE_CHECKING:
    from cxrkeras.serving.predictor.card import Card
    from cxrkeras.serving.predictor.predictor import Predictor
    from cxrkeras.serving.predictor.trunks import Trunks


class Kind(Part):
    """A kind of predictor, by which `model.json` is read, copied and loaded."""

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
