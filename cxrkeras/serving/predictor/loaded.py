"""A trained model ready to be asked: a model folder, a `.keras` file, or a run's folds as one."""

from pathlib import Path

from cxrkeras.registry import PREDICTORS
from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.predictor.predictor import Predictor
from cxrkeras.serving.predictor.read import read_card
from cxrkeras.serving.predictor.trunks import Trunks


def load_model(path: Path) -> Predictor:
    """Load a run folder (the ensemble of its folds), a model folder or a `.keras` file.

    Raises:
        UserError: for anything else, an unfinished run, a damaged file.
    """
    return load_card(read_card(path))


def load_card(card: Card) -> Predictor:
    """Load the models of a card; errors as in `load_model`."""
    return load_with(card, Trunks(card.leaves))


def load_with(card: Card, trunks: Trunks) -> Predictor:
    """The same within a larger one, whose members may share trunks."""
    return PREDICTORS.make(card.kind).load(card, trunks)
