"""Heat maps: where in the image a label's score comes from. Their kinds: `mapping.ways`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import keras
import numpy as np

from cxrkeras.data.inputs import IMAGE, select
from cxrkeras.evaluation.boxes.heat import Box, grid_around, laid, regrid
from cxrkeras.models.heads import Head
from cxrkeras.serving.explain.batches import (
    BATCH,
    NOTHING,
    Explained,
    Known,
    in_batches,
    rows_from,
)
from cxrkeras.serving.explain.mapping.crops import FINER, laid_in
from cxrkeras.serving.explain.mapping.gradients import WEIGHTS, score_gradient
from cxrkeras.serving.explain.mapping.structure import Parts
from cxrkeras.serving.explain.mapping.ways import way_of

EAGER_SIDE = 128  # pixels of the images of which a whole batch goes through an uncompiled trunk


class Explainer:
    """A Keras classifier that also says where.

    Args:
        model: as `structure.take_apart` takes them.
        method: see `ways.way_of`.
        trunks: parts of models that may have the same trunk, which is then compiled only once.
        order: columns of the model's output in the order that is wanted; as they are if None.
        head: with which the model was built, if that is known.
        box: the part of the image that the model looks at; all of it if None.
        asked: gives the probabilities for all inputs by name, the image (B, S, S, C), B at most
            `BATCH`, where the model takes one crop of several, that at `box`, instead of it.

    Attributes:
        way: the kind of map.
        grid: (h, w) of the maps.
        known: the model's inputs beside the image.

    Raises:
        UserError: as `ways.way_of`.
    """

    def __init__(
        self,
        model: keras.Model,
        method: str | None = None,
        trunks: Sequence[Parts] = (),
        order: Sequence[int] | None = None,
        head: Head | None = None,
        box: Box | None = None,
        asked: Callable[[Known], np.ndarray] | None = None,
    ):
        self.way, self.parts, self._relevance = way_of(model, method, head, trunks)
        self.labels = self.parts.head.outputs[0].shape[-1]
        self.known = self.parts.known
        seen = self.parts.trunk.inputs[0].shape[1]
        self.side = round(seen / (box[2] - box[0])) if asked else seen
        self.order = list(range(self.labels) if order is None else order)
        shapes = self.parts.map_shapes
        if self.method == "own":
            shapes = [tuple(one.shape[1:3]) for one in self.parts.own.outputs]
        finer = FINER if self.parts.cut else 1
        self._seen = tuple(finer * max(shape[axis] for shape in shapes) for axis in (0, 1))
        self._box, self._asked = box, asked
        self.grid = self._seen if box is None else grid_around(self._seen, box)

    @property
    def method(self) -> str:
        """The kind's name."""
        return self.way.method

    def explain(
        self,
        images: np.ndarray,
        labels: Sequence[int] | None = None,
        *,
        traced: bool = False,
        known: Known = NOTHING,
    ) -> Explained:
        """Heat maps of some labels.

        Args:
            images: (N, S, S, C), or (N, S, S) for one channel; for our models grey 0 to 255.
            labels: columns of the output; all if None.
            traced: see `features`.
            known: what the model is told of each image, held at these values; what is missing is
                unknown, and what it doesn't take is left out.

        Returns:
            The maps and scores of these labels, in this order. Maps of several trunks are brought
            to the finest of their grids by `regrid`, which keeps each one's mean, and summed; so
            does `crops.laid_in` with those of a part of the image that the model cut out.
        """
        told = in_batches([self], images, labels, traced, known)
        if self._asked is None:
            return told
        columns = self.order if labels is None else [self.order[label] for label in labels]
        images = _at(images[..., None] if images.ndim == 3 else images, self.side)
        given = select({IMAGE: images.astype(np.float32), **known}, [IMAGE, *self.known])
        starts = range(0, len(images), BATCH)
        parts = [self._asked(rows_from(given, start)) for start in starts]
        probability = np.concatenate(parts).astype(np.float64)
        return replace(told, probability=probability[:, columns])

    def features(self, images: np.ndarray, *, traced: bool = False) -> list[np.ndarray]:
        """The last feature maps of at most `BATCH` images; the images themselves for `relevance`.

        Args:
            images: (B, S, S, C).
            traced: compile the trunk's graph first: seconds that pay for many images. Without,
                Keras keeps every layer's output until the end, so that few images go at a time.

        Returns:
            (B, h_t, w_t, C_t) float32 of each trunk; then the box (B, 4) by which the model cut
            a part of the image out, if it does.
        """
        images = _at(images, self.side).astype(np.float32)
        if self._asked:
            left, top, right, bottom = (round(edge * self.side) for edge in self._box)
            images = images[:, top:bottom, left:right]
        if self._relevance:
            return [images]
        if traced:
            full = np.zeros((BATCH, *images.shape[1:]), np.float32)
            full[: len(images)] = images
            parts = [_arrays(self.parts.trunk.predict_on_batch(full))]
        else:
            step = max(1, BATCH * EAGER_SIDE**2 // images[0, ..., 0].size)
            starts = range(0, len(images), step)
            parts = [
                _arrays(self.parts.trunk(images[start : start + step], training=False))
                for start in starts
            ]
        return [np.concatenate(maps)[: len(images)] for maps in zip(*parts, strict=True)]

    def heat(
        self, features: list[np.ndarray], columns: list[int], known: Known = NOTHING
    ) -> Explained:
        """Explain from feature maps; `columns` of the output, `known` as for `explain`."""
        columns = [self.order[column] for column in columns]
        given = select({IMAGE: features[0], **known}, [IMAGE, *self.known])
        beside = [given[name].astype(np.float32) for name in self.known]
        heat, scores, probability = self._told(features, columns, beside)
        heat = heat.astype(np.float32)
        if self._box is not None:
            heat = laid(heat, self._box, self.grid).astype(np.float32)
        cam = self.method == "cam" and self._box is None
        bias = self.parts.bias[columns] if cam else None
        chosen = (np.asarray(one, np.float64)[:, columns] for one in (scores, probability))
        return Explained(heat, *chosen, bias)

    @property
    def place(self) -> tuple:
        """What `features` come from: those of one place are equal."""
        return (self._relevance, *map(id, self.parts.trunk.outputs))

    def _told(self, features: list[np.ndarray], columns: list[int], known: list) -> tuple:
        """Maps (N, K, h, w) of some columns; scores and probabilities of all."""
        if self._relevance:
            return self._relevance(features[0], columns, known)
        count = len(self.parts.map_shapes)
        features, boxes = features[:count], features[count:]
        given = [*known, *features]
        told = map(keras.ops.convert_to_numpy, self.parts.head(given, training=False))
        if self.method == "own":
            own = _arrays(self.parts.own(given, training=False))
            return self._summed((heat[..., columns] for heat in own), []), *told
        if self.method == "cam":
            weights = [kernel[:, columns] for kernel in self.parts.weights]
            return self._summed(map(np.matmul, features, weights), boxes), *told
        weigh = WEIGHTS[self.method]
        heats = [self._weighted(weigh, features, boxes, k, known) for k in columns]
        return np.stack(heats, axis=1), *told

    def _weighted(self, weigh, features: list, boxes: list, label: int, known: list) -> np.ndarray:
        """ReLU of the channels' weighted sum: (N, h, w)."""
        fixed = len(known)
        gradients = score_gradient(self.parts.head, [*known, *features], label, fixed)
        weights = map(weigh, features, gradients[fixed:])
        pairs = zip(features, weights, strict=True)
        heats = (np.einsum("nhwc,nc->nhw", a, w)[..., None] for a, w in pairs)
        heat = self._summed(heats, boxes)
        return np.maximum(heat[..., 0, :, :], 0)

    def _summed(self, heats: Iterable[np.ndarray], boxes: list[np.ndarray]) -> np.ndarray:
        """[(N, h_t, w_t, K)] -> (N, K, h, w) on the common grid; `boxes` has the one, if any."""
        return sum(
            laid_in(heat, *boxes, *self._seen)
            if place in self.parts.cut
            else regrid(heat, *self._seen)
            for place, heat in enumerate(np.moveaxis(heat, -1, 1) for heat in heats)
        )


def _arrays(outputs) -> list[np.ndarray]:
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return [keras.ops.convert_to_numpy(output).astype(np.float32) for output in outputs]


class Ensemble:
    """Several explainers as one: the mean of maps, scores and probabilities.

    Args:
        members: of one kind, with the same labels. A trunk that they share is run once. Maps of
            other grids are brought to the finest, each with its mean kept.
        weights: their shares, which sum to 1; equal ones if None.
        asked: gives the whole's probabilities for all inputs by name, where they aren't the
            members' mean.
    """

    def __init__(
        self,
        members: Sequence[Explainer],
        weights: Sequence[float] | None = None,
        asked: Callable[[Known], np.ndarray] | None = None,
    ):
        self.members, self._asked = tuple(members), asked
        self.weights = None if weights is None or len(set(weights)) == 1 else list(weights)
        self.way = self.members[0].way
        self.grid = tuple(max(one.grid[axis] for one in self.members) for axis in (0, 1))

    def explain(
        self,
        images: np.ndarray,
        labels: Sequence[int] | None = None,
        *,
        traced: bool = False,
        known: Known = NOTHING,
    ) -> Explained:
        """As `Explainer.explain`. The mean probability isn't the sigmoid of the mean score."""
        told = in_batches(self.members, images, labels, traced, known, self.grid, self.weights)
        if self._asked is None:
            return told
        columns = slice(None) if labels is None else list(labels)
        return replace(told, probability=self._asked({IMAGE: images, **known})[:, columns])


def _at(images: np.ndarray, side: int) -> np.ndarray:
    """Images as a member sees them, resized as in its training."""
    if images.shape[1] == side:
        return images
    from cxrkeras.data.images import resized

    return resized(images, side).numpy()


def maps(
    model: keras.Model | Sequence[keras.Model],
    images: np.ndarray,
    labels: Sequence[int] | None = None,
    method: str | None = None,
) -> np.ndarray:
    """Heat maps of one model, or the mean of several: (N, K, h, w) float32.

    Args:
        model: a Keras classifier or the members of an ensemble.
        images: as `Explainer.explain` takes them.
        labels: columns of the output; all if None.
        method: see `ways.way_of`.
    """
    models = [model] if isinstance(model, keras.Model) else model
    return Ensemble([Explainer(one, method) for one in models]).explain(images, labels).maps
