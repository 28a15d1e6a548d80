"""Recipes around another one, and their fitters. Imports no Keras."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cxrkeras.registry import RECIPES, option
from cxrkeras.training.recipes import Fitter, Recipe


class Wrapping(Recipe):
    """A recipe that takes from another what it doesn't say itself."""

    base: str = option("finetune", "Recipe that is wrapped.")

    @property
    def augment(self) -> str:
        """That of the wrapped recipe."""
        return self.within().augment

    @property
    def validation(self) -> float:
        """That of the wrapped recipe."""
        return self.within().validation

    @property
    def freezes(self) -> bool:
        """Whether the wrapped recipe freezes trunks."""
        return self.within().freezes

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the wrapped recipe."""
        return self.within().columns

    @property
    def files(self) -> tuple[str, ...]:
        """Those of the wrapped recipe."""
        return self.within().files

    @property
    def unused(self) -> tuple[str, ...]:
        """Those of the wrapped recipe."""
        return self.within().unused

    def check(self, plan):
        """As the wrapped recipe does."""
        self.within().check(plan)

    def network(self, architecture, labels):
        """That of the wrapped recipe."""
        return self.within().network(architecture, labels)

    def within(self) -> Recipe:
        """The wrapped recipe."""
        return RECIPES.make(self.base)


class Around(Fitter):
    """A `Fitter` that says of itself what its last one says, and in `_own` what it adds to `facts`.

    Args:
        last: the fitter whose model is the result.
    """

    def __init__(self, last: Fitter):
        self._last = last
        self._own: dict = {}

    @property
    def facts(self) -> dict:
        """See `Fitter`."""
        return {**self._last.facts, **self._own}

    @property
    def whole(self) -> bool:
        """See `Fitter`."""
        return self._last.whole

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """See `Fitter.predict`."""
        return self._last.predict(rows)

    def branches(self, rows: np.ndarray) -> Mapping[str, np.ndarray]:
        """See `Fitter.branches`."""
        return self._last.branches(rows)

    def features(self, rows: np.ndarray) -> np.ndarray | None:
        """See `Fitter.features`."""
        return self._last.features(rows)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """See `Fitter.feature_layers`."""
        return self._last.feature_layers

    def save(self, folder: Path) -> dict:
        """See `Fitter.save`."""
        return self._last.save(folder)

    def model(self) -> Any:
        """See `Fitter.model`."""
        return self._last.model()

    def weights(self) -> list[np.ndarray]:
        """See `Fitter.weights`."""
        return self._last.weights()


def has_weights(fitter: Fitter) -> bool:
    """Whether it learns in the target's own network, whoever wraps it."""
    try:
        fitter.weights()
    except NotImplementedError:
        return False
    return True
