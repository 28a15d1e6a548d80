"""A trained model ready to be asked: one `.keras` file, or the folds of a run as an ensemble."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import keras
import numpy as np
from scipy.special import expit

from cxrkeras.data.preparation import Preparation
from cxrkeras.models.weights.files import weights_of
from cxrkeras.serving.model.card import Card, read_card
from cxrkeras.serving.model.keras_file import load_keras
from data_prep.errors import UserError

BATCH = 16
_FEW = 3  # batches that run sooner as they are than after their graph has been traced


@dataclass(frozen=True)
class Model:
    """A model, or an ensemble whose probability is the mean of its members'.

    Args:
        card: what its `model.json` says; of a run, merged over its folds.
        members: Keras models, grey images (N, S, S, 1), 0-255, -> probabilities (N, K). Those of a
            run with frozen trunks share one trunk.
    """

    card: dict
    members: tuple[keras.Model, ...]
    preparation: Preparation
    _runners: list = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_runners", _runners(self.members))

    @property
    def labels(self) -> tuple[str, ...]:
        """The K names, in the output's order."""
        return tuple(self.card["labels"])

    @property
    def image_size(self) -> int:
        """The side S in pixels."""
        return self.card["image_size"]

    def predict(self, images: np.ndarray, batch_size: int = BATCH) -> np.ndarray:
        """Probabilities of any number of images.

        Args:
            images: (N, S, S) or (N, S, S, 1), grey 0-255.
            batch_size: at most so many at a time.

        Returns:
            (N, K) float64 as the model gives them, the mean over the members.
        """
        images = np.asarray(images)
        images = images[..., None] if images.ndim == 3 else images
        self._check(images)
        batches = list(even_batches(len(images), batch_size))
        size = max((rows.stop - rows.start for rows in batches), default=0)
        traced = worth_tracing(len(batches))
        parts = [self.run(images[rows], traced=traced, size=size) for rows in batches]
        return np.concatenate(parts) if parts else np.empty((0, len(self.labels)))

    def run(self, batch: np.ndarray, *, traced: bool, size: int | None = None) -> np.ndarray:
        """One batch, all at once.

        Args:
            batch: (B, S, S, 1), grey 0-255.
            traced: compile the graph first, for this B; seconds that pay from the fourth batch on.
            size: fill up to so many images first, so that a last batch isn't compiled for itself.

        Returns:
            (B, K) float64.

        Raises:
            UserError: the model gives something else than probabilities.
        """
        filled = np.zeros((max(size or 0, len(batch)), *batch.shape[1:]), np.float32)
        filled[: len(batch)] = batch
        members = [part for runner in self._runners for part in runner(filled, traced)]
        found = np.mean(members, axis=0, dtype=np.float64)[: len(batch)]
        if not ((found >= 0) & (found <= 1)).all():
            raise UserError(
                "This model's outputs aren't probabilities: not all lie between 0 and 1. Train it "
                "again, or give another."
            )
        return found

    def _check(self, images: np.ndarray) -> None:
        wanted = (self.image_size, self.image_size, 1)
        if images.shape[1:] != wanted:
            raise ValueError(f"images must be (N, {wanted}). Received: {images.shape}")


def load_model(path: Path) -> Model:
    """Load a run folder (the ensemble of its folds), a model folder or a `.keras` file.

    Raises:
        UserError: for anything else, an unfinished run, a damaged file.
    """
    return load_members(read_card(path))


def load_members(card: Card) -> Model:
    """Load the models of a card; errors as in `load_model`."""
    shape = (None, card.image_size, card.image_size, 1), (None, len(card.labels))
    first = _load(card.members[0], shape)
    others = [_on_the_trunk_of(first, card.members[0], path) for path in card.members[1:]]
    pairs = zip(others, card.members[1:], strict=True)
    members = (first, *(other or _load(path, shape) for other, path in pairs))
    return Model(card.facts, members, card.preparation)


def even_batches(count: int, batch_size: int) -> Iterator[slice]:
    """Slices over `count` rows in as few batches as can be, of nearly equal size."""
    batches = -(-count // batch_size)
    for number in range(batches):
        yield slice(number * count // batches, (number + 1) * count // batches)


def worth_tracing(batches: int) -> bool:
    """Whether so many batches run sooner with a compiled graph than without.

    Compiling a DenseNet121's costs as much as four batches save (2 s of CPU against 0.5 s each).
    """
    return batches > _FEW


def _load(path: Path, shape: tuple) -> keras.Model:
    model = load_keras(path)
    if (model.input_shape, model.output_shape) != shape:
        raise UserError(
            f"{path} doesn't fit its model.json: it turns {model.input_shape} into "
            f"{model.output_shape}, not {shape[0]} into {shape[1]}. Give the two files as they "
            "were made together."
        )
    return model


def _on_the_trunk_of(first: keras.Model, file: Path, other: Path) -> keras.Model | None:
    """The model in `other` where it differs from the first in its dense layer's weights alone.

    Such are the folds of a run with frozen trunks: their trunk is loaded, kept and run once.
    """
    head = _last_dense(first)
    if head is None:
        return None
    weights = _differing_weights(file, other)
    if [w.shape for w in weights or ()] != [tuple(w.shape) for w in head.weights]:
        return None
    dense = keras.layers.Dense.from_config(head.get_config())
    output = first.layers[-1]
    probability = type(output).from_config(output.get_config())(dense(head.input))
    dense.set_weights(weights)
    return keras.Model(first.inputs[0], probability, name=first.name)


def _last_dense(model: keras.Model) -> keras.layers.Dense | None:
    """The dense layer before the final activation, of a model that ends so."""
    *_, dense, last = model.layers
    ends = isinstance(last, keras.layers.Activation) and last.input is dense.output
    return dense if ends and isinstance(dense, keras.layers.Dense) else None


def _differing_weights(file: Path, other: Path) -> list[np.ndarray] | None:
    """The second file's values of the first file's last group that differ; None if more differ."""
    with weights_of(file) as ours, weights_of(other) as theirs:
        return _differing(ours, theirs)


def _differing(ours: h5py.File, theirs: h5py.File) -> list[np.ndarray] | None:
    names: list[str] = []
    ours.visititems(lambda name, item: names.append(name) if _is_array(item) else None)
    found: list[np.ndarray] = []
    groups = set()
    for name in names:
        if not _is_array(theirs.get(name)) or ours[name].shape != theirs[name].shape:
            return None
        values = theirs[name][...]
        if not np.array_equal(ours[name][...], values):
            groups.add(name.rpartition("/")[0])
            found.append(values)
    return found if len(groups) == 1 else None


def _is_array(item: object) -> bool:
    return isinstance(item, h5py.Dataset)


def _runners(members: tuple[keras.Model, ...]) -> list:
    """Callables (batch, traced) -> [(B, K) of each member]; members on one trunk share one."""
    heads = [_last_dense(member) for member in members]
    if len(members) > 1 and all(head is not None for head in heads):
        features = {id(head.input) for head in heads}
        if len(features) == 1:
            return [_Shared(keras.Model(members[0].inputs[0], heads[0].input), heads)]
    return [_Single(member) for member in members]


class _Single:
    def __init__(self, model: keras.Model):
        self._model = model

    def __call__(self, batch: np.ndarray, traced: bool) -> list[np.ndarray]:
        if traced:
            return [self._model.predict_on_batch(batch)]
        return [keras.ops.convert_to_numpy(self._model(batch, training=False))]


class _Shared:
    """One trunk's features, and the dense layers on it."""

    def __init__(self, trunk: keras.Model, heads: list[keras.layers.Dense]):
        self._trunk, self._heads = _Single(trunk), heads

    def __call__(self, batch: np.ndarray, traced: bool) -> list[np.ndarray]:
        (features,) = self._trunk(batch, traced)
        return [self._probability(features, *head.get_weights()) for head in self._heads]

    def _probability(self, features: np.ndarray, kernel: np.ndarray, bias: np.ndarray):
        return expit(features.astype(np.float64) @ kernel + bias)
