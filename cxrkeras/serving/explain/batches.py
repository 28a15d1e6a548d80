"""Batches of images to what one explainer, or the mean of several, says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from cxrkeras.evaluation.boxes.heat import regrid

BATCH = 16
_BY_IMAGE = ("maps", "scores", "probability")
Known = Mapping[str, np.ndarray]
"""What models are told of N images beside them: (N, 1) float32 by name."""
NOTHING: Known = MappingProxyType({})


@dataclass(frozen=True)
class Explained:
    """What one model, or the mean of an ensemble, says of N images.

    Attributes:
        maps: (N, K, h, w) float32; the cells tile the image.
        scores: (N, K) float64 before the sigmoid.
        probability: (N, K) float64, the model's output.
        bias: (K,) float64 with the method `cam`: scores = mean of the maps + bias. Else None.
    """

    maps: np.ndarray
    scores: np.ndarray
    probability: np.ndarray
    bias: np.ndarray | None


class OfMaps(Protocol):
    """What is asked: `maps.Explainer`."""

    labels: int
    grid: tuple[int, int]
    place: Any

    def features(self, images: np.ndarray, *, traced: bool = False) -> list[np.ndarray]: ...

    def heat(self, features: list[np.ndarray], columns: list[int], known: Known) -> Explained: ...


def in_batches(
    members: Sequence[OfMaps],
    images: np.ndarray,
    labels: Sequence[int] | None,
    traced: bool,
    known: Known,
    grid: tuple[int, int] | None = None,
    weights: Sequence[float] | None = None,
) -> Explained:
    """What some explainers say of N images, `BATCH` at a time; see `Ensemble`.

    Args:
        members: whose mean is wanted; those of one `place` have their features made once.
        images: (N, S, S, C) or (N, S, S).
        labels: columns of the output; all if None.
        traced: see `Explainer.features`.
        known: see `Explainer.explain`.
        grid: to which maps of other grids are brought.
        weights: of the members; equal ones if None.
    """
    columns = list(range(members[0].labels) if labels is None else labels)
    images = images[..., None] if images.ndim == 3 else images
    starts = range(0, len(images), BATCH)
    told = [
        _mean(
            members,
            images[start : start + BATCH],
            columns,
            traced,
            rows_from(known, start),
            grid,
            weights,
        )
        for start in starts
    ]
    joined = (np.concatenate([getattr(one, name) for one in told]) for name in _BY_IMAGE)
    return Explained(*joined, told[0].bias)


def rows_from(given: Known, start: int) -> dict[str, np.ndarray]:
    """A batch of what is given by name, from a row on."""
    return {name: values[start : start + BATCH] for name, values in given.items()}


def _mean(
    members: Sequence[OfMaps],
    images: np.ndarray,
    columns: list[int],
    traced: bool,
    known: Known,
    grid: tuple[int, int] | None,
    weights: Sequence[float] | None,
) -> Explained:
    features: dict[tuple, list[np.ndarray]] = {}
    told = []
    for member in members:
        if member.place not in features:
            features[member.place] = member.features(images, traced=traced)
        told.append(member.heat(features[member.place], columns, known))
    if len(told) == 1:
        return told[0]
    mean = partial(_average, weights=weights)
    alike = all(member.grid == grid for member in members)
    heat = mean([one.maps if alike else regrid(one.maps, *grid) for one in told])
    scores, probability = (mean([getattr(one, name) for one in told]) for name in _BY_IMAGE[1:])
    biases = [one.bias for one in told]
    bias = None if any(one is None for one in biases) else mean(biases)
    return Explained(heat.astype(np.float32), scores, probability, bias)


def _average(arrays: Sequence[np.ndarray], weights: Sequence[float] | None) -> np.ndarray:
    if weights is None:
        return np.mean(arrays, axis=0, dtype=np.float64)
    return np.average(np.asarray(arrays, np.float64), axis=0, weights=weights)
