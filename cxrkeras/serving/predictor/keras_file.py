"""Turns anybody's `.keras` file into a Keras model, or into one line that says why not."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from cxrkeras.models.graph import calls
from cxrkeras.models.weights.files import shapes_of, weights_of
from cxrkeras.serving.predictor.packages import bring_layers
from data_prep.errors import UserError

_UNSAVED = 1_000_000  # weights that a file may leave out, such as those of an unused layer
_PER_IMAGE = 2**28  # 1 GiB; at 2048 pixels a side, the first maps of a DenseNet121 have that


def load_keras(path: Path, packages: Sequence[str] = ()) -> keras.Model:
    """Load a `.keras` file, uncompiled, after a look at what it asks for (`models.weights.bounds`).

    Args:
        path: the file.
        packages: that bring layers for it, see `packages.bring_layers`.

    Raises:
        UserError: it is none that Keras 3 knows, holds a layer that nobody brings, or of KerasHub
            where that isn't installed, asks for more memory than its own weights justify, or holds
            weights that are no finite numbers.
    """
    with weights_of(path) as store:
        values = sum(map(math.prod, shapes_of(store).values()))
    bring_layers(path, packages)
    spent = _Spent(values + _UNSAVED)
    try:
        with spent.building():
            model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds on files that are none of its own
        if spent.left < 0:
            raise _refused(
                path, f"it builds more than the {values:,} weights that it holds"
            ) from None
        raise UserError(
            f"{path} can't be loaded as a Keras 3 model ({type(error).__name__}). "
            "Give a model that `cxrkeras cv` or `cxrkeras train` made."
        ) from error
    if not all(np.isfinite(weights).all() for weights in model.get_weights()):
        raise _refused(path, "some of its weights aren't finite numbers")
    if _largest(model) > _PER_IMAGE:
        raise _refused(path, f"it makes over {_PER_IMAGE:,} numbers at once of an image")
    return model


def _refused(path: Path, why: str) -> UserError:
    return UserError(f"{path} isn't used as a model: {why}. Train it again, or give another.")


class _Spent:
    """Counts the numbers in the weights that Keras makes, and stops it at a bound.

    A model is built from its description before its weights are read, and the description alone
    may ask for any amount of memory.
    """

    def __init__(self, bound: int):
        self.left = bound

    @contextmanager
    def building(self) -> Iterator[None]:
        """Models that are built here begin with zeros where Keras would draw at random.

        Their weights are read next; to draw them takes a quarter of a DenseNet121's loading.
        """
        original = keras.Layer.add_weight

        def add_weight(layer, shape=None, initializer=None, *args, **kwargs):
            self.left -= math.prod(shape or ())
            if self.left < 0:
                raise MemoryError
            if getattr(initializer, "seed", None) is not None:
                initializer = "zeros"
            return original(layer, shape, initializer, *args, **kwargs)

        keras.Layer.add_weight = add_weight
        try:
            yield
        finally:
            keras.Layer.add_weight = original


def _largest(model: keras.Model) -> int:
    """The numbers in the largest tensor between the layers, per image; inside of them, too."""
    sizes = [0]
    for operation in getattr(model, "operations", model.layers):
        if isinstance(operation, keras.Model):
            sizes.append(_largest(operation))
        for call in calls(operation):
            sizes += [math.prod(side or 1 for side in out.shape) for out in call.outputs]
    return max(sizes)
