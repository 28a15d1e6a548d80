"""Heat maps: where in the image a label's score comes from.

CAM: Zhou et al., CVPR 2016. Grad-CAM: Selvaraju et al., ICCV 2017. Grad-CAM++: Chattopadhay et al.,
WACV 2018.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import keras
import numpy as np

from cxrkeras.evaluation.boxes.heat import regrid
from cxrkeras.serving.explain.crops import FINER, laid_in
from cxrkeras.serving.explain.gradients import score_gradient
from cxrkeras.serving.explain.structure import Parts, take_apart
from data_prep.errors import UserError

METHODS = {
    "cam": "class activation map: its mean plus the bias is the label's logit",
    "gradcam": "Grad-CAM: the map's channels, weighted by the score's mean gradient",
    "gradcam++": "Grad-CAM++: Grad-CAM with more weight on the places that raise the score",
}
BATCH = 16
EAGER_SIDE = 128  # pixels of the images of which a whole batch goes through an uncompiled trunk
_BY_IMAGE = ("maps", "scores", "probability")


@dataclass(frozen=True)
class Explained:
    """What one model, or the mean of an ensemble, says of N images.

    Attributes:
        maps: (N, K, h, w) float32; the cells tile the image.
        scores: (N, K) float64 before the sigmoid.
        probability: (N, K) float64, the model's output.
        bias: (K,) float64 with `method` "cam": scores = mean of the maps + bias. Else None.
    """

    maps: np.ndarray
    scores: np.ndarray
    probability: np.ndarray
    bias: np.ndarray | None


class Explainer:
    """A Keras classifier that also says where.

    Args:
        model: as `parts.take_apart` takes them.
        method: a key of `METHODS`; "cam" where it is exact and "gradcam" elsewhere by default.
        trunks: parts of models that may have the same trunk, which is then compiled only once.
        order: columns of the model's output in the order that is wanted; as they are if None.

    Raises:
        UserError: for a model of another form, or "cam" where it wouldn't be exact.
    """

    def __init__(
        self,
        model: keras.Model,
        method: str | None = None,
        trunks: Sequence[Parts] = (),
        order: Sequence[int] | None = None,
    ):
        self.parts = take_apart(model, trunks)
        self.method = method or ("cam" if self.parts.dense is not None else "gradcam")
        if self.method == "cam" and self.parts.why_not:
            raise UserError(
                "CAM is exact only for a dense layer on global average pooling. In this model "
                f"{self.parts.why_not}. Take --map gradcam."
            )
        shapes = self.parts.map_shapes
        self.labels = self.parts.head.outputs[0].shape[-1]
        self.side = self.parts.trunk.inputs[0].shape[1]
        self.order = list(range(self.labels) if order is None else order)
        finer = FINER if self.parts.cut else 1
        self.grid = tuple(finer * max(shape[axis] for shape in shapes) for axis in (0, 1))

    def explain(
        self, images: np.ndarray, labels: Sequence[int] | None = None, *, traced: bool = False
    ) -> Explained:
        """Heat maps of some labels.

        Args:
            images: (N, S, S, C), or (N, S, S) for one channel; for our models grey 0 to 255.
            labels: columns of the output; all if None.
            traced: see `features`.

        Returns:
            The maps and scores of these labels, in this order. Maps of several trunks are brought
            to the finest of their grids by `regrid`, which keeps each one's mean, and summed; so
            does `crops.laid_in` with those of a part of the image that the model cut out.
        """
        return _in_batches([self], images, labels, traced)

    def features(self, images: np.ndarray, *, traced: bool = False) -> list[np.ndarray]:
        """The last feature maps of at most `BATCH` images.

        Args:
            images: (B, S, S, C).
            traced: compile the trunk's graph first: seconds that pay for many images. Without,
                Keras keeps every layer's output until the end, so that few images go at a time.

        Returns:
            (B, h_t, w_t, C_t) float32 of each trunk; then the box (B, 4) by which the model cut
            a part of the image out, if it does.
        """
        images = _at(images, self.side).astype(np.float32)
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

    def heat(self, features: list[np.ndarray], columns: list[int]) -> Explained:
        """Explain from feature maps; `columns` of the output."""
        columns = [self.order[column] for column in columns]
        count = len(self.parts.map_shapes)
        features, boxes = features[:count], features[count:]
        scores, probability = self.parts.head(features, training=False)
        chosen = [
            keras.ops.convert_to_numpy(output).astype(np.float64)[:, columns]
            for output in (scores, probability)
        ]
        if self.method == "cam":
            weights = [kernel[:, columns] for kernel in self.parts.weights]
            heat = self._summed(map(np.matmul, features, weights), boxes)
            return Explained(heat.astype(np.float32), *chosen, self.parts.bias[columns])
        weigh = _WEIGHTS[self.method]
        heat = np.stack([self._weighted(weigh, features, boxes, k) for k in columns], axis=1)
        return Explained(heat.astype(np.float32), *chosen, None)

    def _weighted(self, weigh, features: list, boxes: list, label: int) -> np.ndarray:
        """ReLU of the channels' weighted sum: (N, h, w)."""
        gradients = score_gradient(self.parts.head, features, label)
        weights = map(weigh, features, gradients)
        pairs = zip(features, weights, strict=True)
        heats = (np.einsum("nhwc,nc->nhw", a, w)[..., None] for a, w in pairs)
        heat = self._summed(heats, boxes)
        return np.maximum(heat[..., 0, :, :], 0)

    def _summed(self, heats: Iterable[np.ndarray], boxes: list[np.ndarray]) -> np.ndarray:
        """[(N, h_t, w_t, K)] -> (N, K, h, w) on the common grid; `boxes` has the one, if any."""
        return sum(
            laid_in(heat, *boxes, *self.grid)
            if place in self.parts.cut
            else regrid(heat, *self.grid)
            for place, heat in enumerate(np.moveaxis(heat, -1, 1) for heat in heats)
        )


def _arrays(outputs) -> list[np.ndarray]:
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return [keras.ops.convert_to_numpy(output).astype(np.float32) for output in outputs]


def _gradcam(features: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """(N, C) weights: the gradients summed over the map.

    Grad-CAM's mean over the map would only scale it, by 1/hw, but differently for each trunk where
    grids differ; summed, they add up, and equal CAM's weights where both are defined.
    """
    return gradients.sum(axis=(1, 2), dtype=np.float64)


def _gradcam_plus_plus(features: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """(N, C) weights: sum of a·relu(g), a = g² / (2 g² + g³ ΣA), equation 19 of the paper.

    Its closed form for the score exp(y); the factor exp(y), one number for a whole map, is left
    out: it would overflow.
    """
    g = gradients.astype(np.float64)
    total = features.sum(axis=(1, 2), keepdims=True, dtype=np.float64)
    below = 2 + g * total  # the fraction, reduced by g²
    share = np.divide(1.0, below, out=np.zeros_like(below), where=(g != 0) & (below != 0))
    return (share * np.maximum(g, 0)).sum(axis=(1, 2))


_WEIGHTS = {"gradcam": _gradcam, "gradcam++": _gradcam_plus_plus}


class Ensemble:
    """Several explainers as one: the mean of maps, scores and probabilities.

    Args:
        members: of one kind, with the same labels. A trunk that they share is run once. Maps of
            other grids are brought to the finest, each with its mean kept.
        weights: their shares, which sum to 1; equal ones if None.
        asked: gives the whole's probabilities for images, where they aren't the members' mean.
    """

    def __init__(
        self,
        members: Sequence[Explainer],
        weights: Sequence[float] | None = None,
        asked: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        self.members, self._asked = tuple(members), asked
        self.weights = None if weights is None or len(set(weights)) == 1 else list(weights)
        self.method = self.members[0].method
        self.grid = tuple(max(one.grid[axis] for one in self.members) for axis in (0, 1))

    def explain(
        self, images: np.ndarray, labels: Sequence[int] | None = None, *, traced: bool = False
    ) -> Explained:
        """As `Explainer.explain`. The mean probability isn't the sigmoid of the mean score."""
        told = _in_batches(self.members, images, labels, traced, self.grid, self.weights)
        if self._asked is None:
            return told
        columns = slice(None) if labels is None else list(labels)
        return replace(told, probability=self._asked(images)[:, columns])


def _in_batches(
    members: Sequence[Explainer],
    images: np.ndarray,
    labels: Sequence[int] | None,
    traced: bool,
    grid: tuple[int, int] | None = None,
    weights: Sequence[float] | None = None,
) -> Explained:
    columns = list(range(members[0].labels) if labels is None else labels)
    images = images[..., None] if images.ndim == 3 else images
    starts = range(0, len(images), BATCH)
    told = [
        _mean(members, images[start : start + BATCH], columns, traced, grid, weights)
        for start in starts
    ]
    joined = (np.concatenate([getattr(one, name) for one in told]) for name in _BY_IMAGE)
    return Explained(*joined, told[0].bias)


def _mean(
    members: Sequence[Explainer],
    images: np.ndarray,
    columns: list[int],
    traced: bool,
    grid: tuple[int, int] | None,
    weights: Sequence[float] | None,
) -> Explained:
    features: dict[tuple, list[np.ndarray]] = {}
    told = []
    for member in members:
        place = tuple(map(id, member.parts.trunk.outputs))
        if place not in features:
            features[place] = member.features(images, traced=traced)
        told.append(member.heat(features[place], columns))
    if len(told) == 1:
        return told[0]
    mean = partial(_average, weights=weights)
    alike = all(member.grid == grid for member in members)
    heat = mean([one.maps if alike else regrid(one.maps, *grid) for one in told])
    scores, probability = (mean([getattr(one, name) for one in told]) for name in _BY_IMAGE[1:])
    bias = None if told[0].bias is None else mean([one.bias for one in told])
    return Explained(heat.astype(np.float32), scores, probability, bias)


def _average(arrays: Sequence[np.ndarray], weights: Sequence[float] | None) -> np.ndarray:
    if weights is None:
        return np.mean(arrays, axis=0, dtype=np.float64)
    return np.average(np.asarray(arrays, np.float64), axis=0, weights=weights)


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
        method: as `Explainer` takes it.
    """
    models = [model] if isinstance(model, keras.Model) else model
    return Ensemble([Explainer(one, method) for one in models]).explain(images, labels).maps
