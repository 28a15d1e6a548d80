"""How members' scores become one: means of probabilities, log odds or ranks, by weight.

In NumPy, where a model answers, and in Keras, for export.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from cxrkeras.serving.predictor.card import Card

HOW = ("mean", "logits", "ranks")
_EDGE = 1e-6  # probabilities nearer to 0 and 1 count as this far off; float32 has no more
_APART = 1e-4  # of log odds, the least between two points of a grid
_POINTS = 1001  # of a grid


def combined(
    how: str,
    scores: Sequence[np.ndarray],
    weights: Sequence[float],
    grids: Sequence[Sequence[Mapping]] = (),
) -> np.ndarray:
    """(N, K) float64 of M members' (N, K) scores.

    Args:
        how: `mean`; `logits`, the probability of the mean of the log odds; or `ranks`, the mean of
            the ranks, which is a score and no probability.
        scores: of the members, in [0, 1].
        weights: M, which sum to 1; of equal ones the plain mean is taken.
        grids: for `ranks`, K grids of each member, see `grid_of`.
    """
    mean = _mean(terms(how, scores, grids), weights)
    return _probability(mean) if how == "logits" else mean


def terms(
    how: str, scores: Sequence[np.ndarray], grids: Sequence[Sequence[Mapping]] = ()
) -> list[np.ndarray]:
    """What of M members' scores the mean is taken of, (N, K) float64 each; see `combined`."""
    arrays = [np.asarray(one, np.float64) for one in scores]
    if how == "logits":
        return [_log_odds(one) for one in arrays]
    if how == "ranks":
        return [_ranked(one, grid) for one, grid in zip(arrays, grids, strict=True)]
    return arrays


class Mix(NamedTuple):
    """How an ensemble's members become one; see `combined`.

    Args:
        how: of `HOW`.
        weights: M, which sum to 1.
        grids: K of each member, for `ranks`.
        orders: of each member, the K columns of its scores in the order of the ensemble's labels.
    """

    how: str
    weights: Sequence[float]
    grids: Sequence[Sequence[Mapping]]
    orders: Sequence[Sequence[int]]

    @classmethod
    def of(cls, card: "Card") -> "Mix":
        """That of an ensemble's card; of a run the plain mean."""
        count = len(card.members)
        noted = card.facts.get("members") or [{}] * count
        return cls(
            card.facts.get("combine") or "mean",
            [one.get("weight", 1 / count) for one in noted],
            [[one["ranks"][name] for name in card.labels] for one in noted if one.get("ranks")],
            [[member.labels.index(name) for name in card.labels] for member in card.members],
        )

    def __call__(self, scores: Sequence[np.ndarray]) -> np.ndarray:
        """(N, K) of the members' scores, columns in their own order."""
        told = [one[:, order] for one, order in zip(scores, self.orders, strict=True)]
        return combined(self.how, told, self.weights, self.grids)


def grid_of(scores: np.ndarray) -> dict[str, list[float]]:
    """The ranks of a member's own out-of-fold scores of one label.

    A rank is the share of them below a score, and half of those equal to it (a percentile over
    100). Between scores it goes straight in log odds; beyond them it stays.

    Args:
        scores: (N,) in [0, 1].

    Returns:
        `score` and `rank`, both rising: of all scores where they are few and lie apart, else of
        some of them.
    """
    levels, counts = np.unique(scores, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / len(scores)
    chosen = np.unique(
        np.linspace(0, len(levels) - 1, min(_POINTS, len(levels))).round().astype(int)
    )
    kept: list[int] = []
    x = _log_odds(levels)
    for number in chosen:
        if not kept or x[number] - x[kept[-1]] >= _APART:
            kept.append(int(number))
    return {"score": levels[kept].tolist(), "rank": ranks[kept].tolist()}


def layered(how: str, outputs: list, weights: Sequence[float], grids: Sequence = ()):
    """The same on Keras tensors, in stock operations that every format has."""
    from keras import ops

    if how == "logits":
        return ops.sigmoid(_sum([_layered_log_odds(one) for one in outputs], weights))
    if how == "ranks":
        outputs = [_layered_ranks(p, grid) for p, grid in zip(outputs, grids, strict=True)]
    return _sum(outputs, weights)


def _layered_ranks(p, grids: Sequence[Mapping]):
    """Every segment of the line adds its rise: what of it lies below the score."""
    from keras import ops

    most = max(len(grid["rank"]) for grid in grids)
    starts, widths, rises = (np.zeros((len(grids), most), np.float32) for _ in range(3))
    for k, grid in enumerate(grids):
        x, y = _log_odds(grid["score"]), np.array(grid["rank"])
        starts[k, : len(x) - 1], widths[k] = x[:-1], 1
        widths[k, : len(x) - 1], rises[k, : len(x) - 1] = np.diff(x), np.diff(y)
    first = np.array([grid["rank"][0] for grid in grids], np.float32)
    x = ops.expand_dims(_layered_log_odds(p), -1)
    share = ops.clip((x - starts) / widths, 0.0, 1.0)
    return ops.sum(share * rises, axis=-1) + first


def _layered_log_odds(p):
    """As `_log_odds`, in operations that ONNX has. In float32, 1 - `_EDGE` isn't exact."""
    from keras import ops

    most = float(np.log((1 - _EDGE) / _EDGE))
    return ops.clip(ops.log(p) - ops.log(1 - p), -most, most)


def _sum(tensors: list, weights: Sequence[float]):
    total = tensors[0] * weights[0]
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total = total + tensor * weight
    return total


def _ranked(scores: np.ndarray, grids: Sequence[Mapping]) -> np.ndarray:
    columns = [
        np.interp(_log_odds(scores[:, k]), _log_odds(grid["score"]), grid["rank"])
        for k, grid in enumerate(grids)
    ]
    return np.stack(columns, axis=1)


def _mean(arrays: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    if len(set(weights)) == 1:
        return np.mean(arrays, axis=0, dtype=np.float64)
    return np.average(arrays, axis=0, weights=weights)


def _log_odds(p) -> np.ndarray:
    p = np.clip(np.asarray(p, np.float64), _EDGE, 1 - _EDGE)
    return np.log(p) - np.log1p(-p)


def _probability(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))  # log odds are within 14
