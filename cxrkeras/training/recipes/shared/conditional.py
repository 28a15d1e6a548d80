"""A fit in which children learn only where their parents are positive."""

from pathlib import Path

import keras
import numpy as np

from cxrkeras.data.labels.hierarchy import (
    ancestors,
    conditional,
    parse_parents,
    places_of_parents,
    upwards,
)
from cxrkeras.data.labels.targets import Targets
from cxrkeras.training.recipes import Fitter, Learned
from cxrkeras.training.recipes.shared.saving import save_keras
from cxrkeras.training.recipes.shared.wrapping import Around
from cxrkeras.training.session import Session
from data_prep.say import say


class Conditional(Around):
    """A `Fitter`, see `recipes.hierarchy`. `facts` names the edges, and how many entries of the
    training images each child learnt from.

    Args:
        session: what is to be learnt.
        first: of the conditional training.
        again: of the head alone, whose `fit` takes `start`; None to leave that out.
        graph: as `parse_parents` takes it.
        multiplied: whether outputs are multiplied along the path.
    """

    def __init__(
        self, session: Session, first: Fitter, again: Fitter | None, graph: str, multiplied: bool
    ):
        self._labels = session.target.dataset.labels
        self._parents = places_of_parents(self._labels, parse_parents(graph))
        super().__init__(again or first)
        self._first, self._again = first, again
        self._above = ancestors(self._parents) if multiplied else []
        if (self._parents < 0).all():
            say(f"None of {', '.join(self._labels)} has a parent here: nothing is conditional.")

    def fit(
        self,
        train: np.ndarray,
        validation: np.ndarray,
        targets: Targets,
        *,
        title: str,
        checkpoint: Path | None = None,
        **how,
    ) -> Learned:
        """See `Fitter.fit`; with the head alone, the history is that of its training."""
        whole = upwards(targets, self._parents)
        taught = conditional(whole, self._parents)
        self._own = {"hierarchy": self._counted(taught[train])}
        if self._again is None:
            learned = self._first.fit(
                train, validation, taught, title=title, checkpoint=checkpoint, **how
            )
        else:
            beside = checkpoint and checkpoint.with_name(f"conditional-{checkpoint.name}")
            self._first.fit(
                train,
                validation,
                taught,
                title=f"{title}, conditional",
                checkpoint=beside,
                **how,
            )
            learned = self._again.fit(
                train,
                validation,
                whole,
                title=f"{title}, the head",
                checkpoint=checkpoint,
                start=self._first.weights(),
                **how,
            )
        bent = learned.distortion is not None and not learned.distortion.none
        # A product of bent probabilities is no curve of any.
        known = None if self._above and bent else learned.distortion
        return learned._replace(targets=targets[train], distortion=known)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """See `Fitter.predict`."""
        return self._along(self._last.predict(rows))

    def branches(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """See `Fitter.branches`; multiplied as the model's are."""
        return {name: self._along(found) for name, found in self._last.branches(rows).items()}

    def _along(self, found: np.ndarray) -> np.ndarray:
        """(n, K) outputs, multiplied along the path if they are to be."""
        if not self._above:
            return found
        given = np.concatenate([found, np.ones_like(found[:, :1])], axis=1)
        return np.prod([found, *(given[:, places] for places in self._above)], axis=0)

    def save(self, folder: Path) -> dict:
        """See `Fitter.save`; a map of the head's own would not be of the product."""
        if not self._above:
            return self._last.save(folder)
        return save_keras(self.model(), folder) | {"head": None}

    def model(self) -> keras.Model:
        """Inputs -> (N, K) probabilities, multiplied along the path."""
        model = self._last.model()
        if not self._above:
            return model
        found = model.output
        given = keras.ops.concatenate([found, keras.ops.ones_like(found[:, :1])], axis=1)
        for places in self._above:
            found = keras.ops.multiply(found, keras.ops.take(given, places, axis=1))
        found = keras.layers.Identity(name="multiplied")(found)
        return keras.Model(model.input, found, name=model.name)

    def weights(self) -> list[np.ndarray]:
        """See `Fitter.weights`; where outputs are multiplied, they alone aren't what answers."""
        if self._above:
            raise NotImplementedError
        return self._last.weights()

    def _counted(self, taught: Targets) -> dict:
        """{child: its parent, and the number of entries that it learns from}."""
        known = np.isfinite(taught.known).sum(axis=0)
        return {
            label: {"parent": self._labels[parent], "entries": int(known[place])}
            for place, (label, parent) in enumerate(zip(self._labels, self._parents, strict=True))
            if parent >= 0
        }
