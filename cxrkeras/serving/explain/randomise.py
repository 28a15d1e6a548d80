"""Tests whether heat maps depend on what was learnt, by randomising weights from the top down.

Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018: a map that stays the same when the
top layers are randomised shows the image's edges, not the model's reasons.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
from scipy.stats import rankdata
from skimage.metrics import structural_similarity

from cxrkeras.evaluation.boxes.heat import enlarged, to_bytes_scale
from cxrkeras.serving.explain.batches import NOTHING, Known
from cxrkeras.serving.explain.mapping.structure import Linear
from cxrkeras.serving.explain.maps import Ensemble, Explainer

STAGES = {"head": "head randomised", "block": "head and last block randomised"}
_SIDE = 64  # pixels at which structural similarity looks at the maps


@dataclass(frozen=True)
class Check:
    """How alike the maps are before and after; (N, K) each, 1 = the same.

    Attributes:
        stage: a key of `STAGES`.
        spearman: rank correlation of the cells; NaN where a map is level.
        ssim: structural similarity of the enlarged maps, each on its own scale.
    """

    stage: str
    spearman: np.ndarray
    ssim: np.ndarray


def randomisation_check(
    explainer: Explainer | Ensemble,
    images: np.ndarray,
    labels: Sequence[int] | None = None,
    seed: int = 0,
    known: Known = NOTHING,
) -> list[Check]:
    """Compare maps with those of the same model after its top layers were randomised.

    Kernels are drawn anew, normal around zero, as large as they were; the values of other weights
    (biases, batch-norm statistics) change places. What was learnt goes; the size of the activations
    may change, to which neither comparison is sensitive. The weights are put back afterwards.

    Args:
        explainer: one model or an ensemble.
        images: (N, S, S, C) or (N, S, S), as `Explainer.explain` takes them.
        labels: columns of the output; all if None.
        seed: of the new weights.
        known: as for `Explainer.explain`.

    Returns:
        One result for each of `STAGES`.
    """
    members = explainer.members if isinstance(explainer, Ensemble) else (explainer,)
    before = explainer.explain(images, labels, known=known).maps
    checks = []
    for stage in STAGES:
        layers = [top_layers(member)[stage] for member in members]
        with randomised([layer for part in layers for layer in part], seed):
            after = explainer.explain(images, labels, known=known).maps
        checks.append(Check(stage, *compare(before, after)))
    return checks


def compare(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spearman's rho and SSIM of every pair of maps: (N, K, h, w) twice -> (N, K) twice."""
    pairs = [
        (_spearman(one, other), _ssim(one, other))
        for one, other in zip(
            before.reshape(-1, *before.shape[2:]), after.reshape(-1, *after.shape[2:]), strict=True
        )
    ]
    rho, ssim = np.array(pairs).T.reshape(2, *before.shape[:2])
    return rho, ssim


def top_layers(explainer: Explainer) -> dict[str, list[keras.layers.Layer]]:
    """The layers with weights that each of `STAGES` randomises, by the model's structure.

    The head is all between the maps and the scores. The last block is what works at the resolution
    of the last maps, back to where that was last reduced (ResNet's conv5, DenseNet's block 4).
    """
    head = _with_weights(explainer.parts.head.layers)
    block = []
    for layer in explainer.parts.trunk.layers:
        inner = _leaves(layer)
        grids = {shape[:2] for shape in explainer.parts.map_shapes}
        block += [part for part in _with_weights(inner) if _grid(part) in grids]
    return {"head": head, "block": [*head, *block]}


def _leaves(layer: keras.Layer) -> list[keras.layers.Layer]:
    """A layer, or those of a model, also of models within."""
    if not isinstance(layer, keras.Model):
        return [layer]
    return [leaf for inner in layer.layers for leaf in _leaves(inner)]


def _with_weights(layers: Sequence) -> list[keras.layers.Layer]:
    owners = [layer.dense if isinstance(layer, Linear) else layer for layer in layers]
    found = {id(layer): layer for layer in owners if getattr(layer, "weights", None)}
    return list(found.values())


def _grid(layer: keras.layers.Layer) -> tuple | None:
    shape = keras.tree.flatten(layer.output)[0].shape
    return tuple(shape[1:3]) if len(shape) == 4 else None


@contextmanager
def randomised(layers: Sequence[keras.layers.Layer], seed: int) -> Iterator[None]:
    """For the time of the context, the layers' weights are other ones of the same size."""
    random = np.random.default_rng(seed)
    kept = {id(layer): (layer, layer.get_weights()) for layer in layers}
    try:
        for layer, weights in kept.values():
            layer.set_weights([_drawn(values, random) for values in weights])
        yield
    finally:
        for layer, weights in kept.values():
            layer.set_weights(weights)


def _drawn(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if values.ndim < 2:
        return random.permutation(values)
    size = np.sqrt(np.mean(np.square(values, dtype=np.float64)))
    return random.normal(0, size, values.shape).astype(values.dtype)


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    first, second = rankdata(one), rankdata(other)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _ssim(one: np.ndarray, other: np.ndarray) -> float:
    pictures = [to_bytes_scale(enlarged(heat, _SIDE)) for heat in (one, other)]
    return float(structural_similarity(*pictures, data_range=255))
