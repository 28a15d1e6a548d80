"""Recipes: how the target is learnt, from a network whose trunks know what their stages taught."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np

from cxrkeras.data.distortion import Distortion
from cxrkeras.data.labels.targets import Targets
from cxrkeras.registry import Part

if TYPE_CHECKING:
    import pandas as pd


class Learned(NamedTuple):
    """What a fit did; the weights are the fitter's.

    Args:
        history: one row per epoch, see `Trainer.fit`.
        targets: (n, K) of the training rows as they were learned from at last.
        distortion: what the loss did to probabilities; None where that isn't known.
    """

    history: "pd.DataFrame"
    targets: Targets
    distortion: Distortion | None


class Fitter(Protocol):
    """Fits one model to rows of the target, as often as wanted: for each fold, and at the end.

    Attributes:
        facts: what there is to say of the last fit in `fold.json`.
    """

    facts: dict

    def fit(
        self,
        train: np.ndarray,
        validation: np.ndarray,
        targets: Targets,
        *,
        epochs: int,
        learning_rate: float,
        seed: int,
        title: str,
        checkpoint: Path | None = None,
    ) -> Learned:
        """Fit from the start, or go on from a checkpoint to the same end.

        Args:
            train: (n,) rows of the target to learn from.
            validation: (m,) rows that steer; may be empty.
            targets: (N, K) of all rows.
            epochs: at most.
            learning_rate: at the start.
            seed: of all that is drawn.
            title: for the progress lines.
            checkpoint: a file that keeps the state after each epoch; None keeps none.
        """

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """(n,) rows of the target -> (n, K) probabilities, by the last fit."""

    def save(self, folder: Path) -> dict:
        """Write the last fit's model into a folder; gives what `model.json` must say to load it."""


class Recipe(Part):
    """How the target is learnt.

    Attributes:
        augment: the augmentation preset where none is chosen.
        validation: the share of the training images that steers where none is chosen.
        freezes: whether a trunk stands still, which is refused for one of random weights.
    """

    augment: ClassVar[str] = "study"
    validation: ClassVar[float] = 0.15
    freezes: ClassVar[bool] = False

    def fitter(self, session: Any) -> Fitter:
        """What fits the target of a session, see `cxrkeras.training.session.Session`."""
        raise NotImplementedError
