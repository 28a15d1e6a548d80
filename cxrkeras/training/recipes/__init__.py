"""Recipes: how the target is learnt, by a network whose trunks have been through their stages."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from cxrkeras.data.distortion import Distortion
from cxrkeras.data.labels.targets import Targets
from cxrkeras.registry import Part

if TYPE_CHECKING:
    import keras
    import pandas as pd


class Learned(NamedTuple):
    """The result of a fit; the fitter holds the weights.

    Args:
        history: one row per epoch, see `Trainer.fit`.
        targets: (n, K) of the training rows as they were learnt from in the end.
        distortion: what the loss did to probabilities; None if unknown.
        beside: what was learnt from beside the target's rows, and how often in proportion to them;
            None if nothing was.
    """

    history: "pd.DataFrame"
    targets: Targets
    distortion: Distortion | None
    beside: tuple[Targets, np.ndarray] | None = None


class Fitter:
    """Fits one model to rows of the target, as often as wanted: for each fold and the final model.

    Attributes:
        facts: what `fold.json` should say of the last fit.
        whole: whether `model` is all that answers.
    """

    facts: dict
    whole: ClassVar[bool] = True

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
        """Fit from the start, or resume from a checkpoint with the same result.

        Args:
            train: (n,) rows of the target to learn from.
            validation: (m,) rows that steer the fit; may be empty.
            targets: (N, K) of all rows.
            epochs: at most.
            learning_rate: at the start.
            seed: seed of everything random.
            title: for the progress lines.
            checkpoint: a file that keeps the state after each epoch; None for no such file.
        """
        raise NotImplementedError

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """(n,) rows of the target -> (n, K) probabilities from the last fit."""
        raise NotImplementedError

    def branches(self, rows: np.ndarray) -> Mapping[str, np.ndarray]:
        """The same of what it trained on the way and isn't the model, by name; none for most."""
        return {}

    def features(self, rows: np.ndarray) -> np.ndarray | None:
        """(n, C) what `model` makes of rows of the target before its head; None where it can't say.

        For the rows of the last `predict` it takes no second pass.
        """
        return None

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """The layers of `model` that end these, see `familiar.tensors.with_features`."""
        return ()

    def save(self, folder: Path) -> dict:
        """Write the last fit's model into a folder; returns what `model.json` needs to load it."""
        raise NotImplementedError

    def model(self) -> "keras.Model":
        """Inputs -> (N, K) probabilities by the last fit."""
        raise NotImplementedError

    def weights(self) -> list[np.ndarray]:
        """Those of the last fit, for one that learns on from them in the same network."""
        raise NotImplementedError


class Recipe(Part):
    """How the target is learnt.

    Attributes:
        augment: the augmentation preset if none is chosen.
        validation: the share of the training images held out to steer, if none is chosen.
        freezes: whether trunks don't change, which is refused if their weights are random.
        guesses: whether it fills in what label policies leave to be guessed (`Targets.guessed`).
            Around one that doesn't, `self_training` is put where there is something to guess.
        columns: of `PreparedDataset.told`, that decide a fit beside labels, patients and inputs; a
            run whose data change there isn't continued.
        files: of the prepared dataset's folder, likewise; there may be none of a name.
        takes_rows: whether it learns from a session's `rows` too; if not, `--source-rows` is
            refused.
        unused: fields of `Experiment` that make no difference to it, which reports leave out.
    """

    augment: ClassVar[str] = "study"
    validation: ClassVar[float] = 0.15
    freezes: ClassVar[bool] = False
    guesses: ClassVar[bool] = False
    columns: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[tuple[str, ...]] = ()
    takes_rows: ClassVar[bool] = False
    unused: ClassVar[tuple[str, ...]] = ()

    def check(self, plan: Any) -> None:
        """Refuse what it can't do, before anything is read; see `cxrkeras.training.plan.Plan`.

        Raises:
            UserError: naming what it needs.
        """

    def network(self, architecture: Any, labels: int) -> Any:
        """What answers in the end, with random weights: its `trunks` and its `probability`.

        Args:
            architecture: see `cxrkeras.models.architecture.Architecture`.
            labels: K.
        """
        from cxrkeras.models.network import TARGET, build_network

        return build_network(architecture, {TARGET: labels})

    @abstractmethod
    def fitter(self, session: Any) -> Fitter:
        """The fitter for a session's target; see `cxrkeras.training.session.Session`."""
        raise NotImplementedError
