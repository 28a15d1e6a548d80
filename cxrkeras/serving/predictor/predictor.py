"""What every predictor can do: give scores batch by batch, whatever is behind it."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cxrkeras.data.inputs import IMAGE, select
from cxrkeras.data.preparation import Preparation
from cxrkeras.models.familiar.films import Nearer, unlike
from cxrkeras.serving.predictor.card import Card
from data_prep.errors import UserError

if TYPE_CHECKING:
    import keras

BATCH = 16
Inputs = Mapping[str, np.ndarray]


class Member(NamedTuple):
    """A Keras model within a predictor, which heat maps are made of.

    Args:
        model: image (N, s, s, 1), and what else it takes -> (N, K).
        order: (K,) the columns of its output, in the order of the predictor's labels.
        weight: its share in the whole; they sum to 1.
        head: with which it was built, as in its `model.json`; "" where that isn't said.
        box: the part of the image that it looks at, as `evaluation.boxes.heat.Box`; None for all.
        asked: gives its probabilities for its inputs by name, where `model` takes one crop of
            several, that at `box`, instead of the image.
    """

    model: "keras.Model"
    order: tuple[int, ...]
    weight: float
    head: str = ""
    box: tuple[float, float, float, float] | None = None
    asked: Callable[[Mapping[str, np.ndarray]], np.ndarray] | None = None


class Scored(NamedTuple):
    """What a batch of films gets.

    Args:
        scores: (B, K) float64, or (B, W) of a model that answers for studies.
        unlike: (B,) float64 in [0, 1), the share of out-of-fold films that lie nearer to the
            training films, see `familiar.films.unlike`; NaN where nobody noted it.
    """

    scores: np.ndarray
    unlike: np.ndarray


class Predictor:
    """A loaded model.

    Args:
        card: what is known of it.
    """

    def __init__(self, card: Card):
        self.card = card

    @property
    def labels(self) -> tuple[str, ...]:
        """The K names, in the output's order."""
        return self.card.labels

    @property
    def image_size(self) -> int:
        """The side S in pixels of the input `image`."""
        return self.card.image_size

    @property
    def preparation(self) -> Preparation:
        """How films are prepared before they are resized to S."""
        return self.card.preparation

    def scores(self, inputs: Inputs, *, traced: bool) -> np.ndarray:
        """One batch, all at once; what every kind must have.

        Args:
            inputs: the model's own, by name: `image` (B, S, S, 1) float32, grey 0-255.
            traced: compile the graph first, for this B; seconds that pay from the fourth batch on.

        Returns:
            (B, K) in [0, 1].
        """
        raise NotImplementedError

    def per_film(self, inputs: Inputs, *, traced: bool) -> np.ndarray:
        """What `Kind.fused` needs of each film; its scores, where films are answered one by one.

        Args:
            inputs: as for `scores`.
            traced: as for `scores`.

        Returns:
            (B, W), see `Kind.width`.
        """
        return self.scores(inputs, traced=traced)

    def nearer(self, inputs: Inputs, *, traced: bool) -> Sequence[Nearer]:
        """How many out-of-fold films lie nearer to the training films than those of a batch.

        Of the arrays that were scored last it takes no second pass.

        Args:
            inputs: as for `scores`.
            traced: as for `scores`.

        Returns:
            Of each of its models for which that is known.
        """
        return ()

    def keras_model(self) -> "keras.Model":
        """The same as one Keras model, image (N, S, S, 1) -> (N, K), for export.

        Raises:
            UserError: where it is none.
        """
        raise self.lacks("Keras model, which an export takes")

    def members(self) -> Sequence[Member]:
        """The Keras models in it, for heat maps; of a run its folds', in their order.

        Raises:
            UserError: where there are none.
        """
        raise self.lacks("heat maps")

    def lacks(self, what: str) -> UserError:
        """The error for something that a kind of predictor can't do."""
        return UserError(
            f"{self.card.path} is a predictor of the kind {self.card.kind!r}, which has no {what}. "
            "Give another model."
        )

    def predict(self, images: np.ndarray | Inputs, batch_size: int = BATCH) -> np.ndarray:
        """Scores of any number of images.

        Args:
            images: (N, S, S) or (N, S, S, 1), grey 0-255; or all inputs by name.
            batch_size: at most so many at a time.

        Returns:
            (N, K) float64.
        """
        inputs = _with_channel(images)
        self._check(inputs[IMAGE])
        batches = list(even_batches(len(inputs[IMAGE]), batch_size))
        size = max((rows.stop - rows.start for rows in batches), default=0)
        traced = worth_tracing(len(batches))
        parts = [
            self.run(
                {name: values[rows] for name, values in inputs.items()}, traced=traced, size=size
            )
            for rows in batches
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.labels)))

    def run(
        self, batch: np.ndarray | Inputs, *, traced: bool = False, size: int | None = None
    ) -> np.ndarray:
        """One batch, all at once.

        Args:
            batch: (B, S, S, 1), grey 0-255; or all inputs by name, others than the model's too.
            traced: see `scores`.
            size: pad the batch to this many images, so that a smaller last one isn't compiled anew.

        Returns:
            (B, K) float64.

        Raises:
            UserError: an input is missing, or the model gives something else than numbers in
                [0, 1].
        """
        return self._probabilities(self._asked(self.scores, batch, traced, size))

    def run_all(
        self, batch: np.ndarray | Inputs, *, traced: bool = False, size: int | None = None
    ) -> Scored:
        """`run`, or `run_per_film` of a model that answers for studies, and how unlike its training
        films each film is, in one pass; arguments and errors as there.
        """
        far = np.full(0, np.nan)

        def both(inputs: Inputs, *, traced: bool) -> np.ndarray:
            nonlocal far
            scores = (self.per_film if self.card.studies else self.scores)(inputs, traced=traced)
            found = unlike(self.nearer(inputs, traced=traced))
            far = np.full(len(scores), np.nan) if found is None else found
            return scores

        found = self._asked(both, batch, traced, size)
        check = self._numbers if self.card.studies else self._probabilities
        return Scored(check(found), far[: len(found)])

    def _probabilities(self, found: np.ndarray) -> np.ndarray:
        if found.shape[1] != len(self.labels) or not ((found >= 0) & (found <= 1)).all():
            raise UserError(
                "This model's outputs aren't probabilities: not all lie between 0 and 1. Train it "
                "again, or give another."
            )
        return found

    def run_per_film(
        self, batch: np.ndarray | Inputs, *, traced: bool = False, size: int | None = None
    ) -> np.ndarray:
        """`per_film` as `run` gives `scores`: (B, W) float64.

        Raises:
            UserError: an input is missing, or the model gives something else than finite numbers.
        """
        return self._numbers(self._asked(self.per_film, batch, traced, size))

    def _numbers(self, found: np.ndarray) -> np.ndarray:
        if not np.isfinite(found).all():
            raise UserError(
                "This model's outputs aren't finite numbers. Train it again, or give another."
            )
        return found

    def _asked(self, function, batch, traced: bool, size: int | None) -> np.ndarray:
        inputs = select(_with_channel(batch), [*self.card.pictures, *self.card.extras])
        count = len(inputs[IMAGE])
        filled = {name: _filled(values, max(size or 0, count)) for name, values in inputs.items()}
        found = np.asarray(function(filled, traced=traced), np.float64)[:count]
        return found if found.ndim == 2 and len(found) == count else np.full((count, 0), np.nan)

    def _check(self, images: np.ndarray) -> None:
        wanted = (self.image_size, self.image_size, 1)
        if images.shape[1:] != wanted:
            raise ValueError(f"images must be (N, {wanted}). Received: {images.shape}")


def even_batches(count: int, batch_size: int) -> list[slice]:
    """Slices over `count` rows in as few batches as possible, of nearly equal size."""
    batches = -(-count // batch_size)
    return [
        slice(number * count // batches, (number + 1) * count // batches)
        for number in range(batches)
    ]


_FEW = 3  # batches that run sooner as they are than after their graph has been traced


def worth_tracing(batches: int) -> bool:
    """Whether so many batches run sooner with a compiled graph than without.

    Compiling a DenseNet121's costs as much as four batches save (2 s of CPU against 0.5 s each).
    """
    return batches > _FEW


def _with_channel(images: np.ndarray | Inputs) -> dict[str, np.ndarray]:
    inputs = dict(images) if isinstance(images, Mapping) else {IMAGE: np.asarray(images)}
    picture = inputs.get(IMAGE)
    if picture is not None and picture.ndim == 3:
        inputs[IMAGE] = picture[..., None]
    return inputs


def _filled(values: np.ndarray, size: int) -> np.ndarray:
    filled = np.zeros((size, *values.shape[1:]), np.float32)
    filled[: len(values)] = values
    return filled
