"""Losses of one entry at a time: what it costs depends on its own logit and label."""

from abc import abstractmethod
from collections.abc import Sequence
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from cxrkeras.data.distortion import Curve, from_log_odds
from cxrkeras.data.labels.entries import value_and_weight
from cxrkeras.models.losses import Loss

_LOGITS = np.linspace(-25, 25, 5001)[:, None]
_POINTS, _FARTHEST = 161, 16.0  # of a curve, evenly spaced in the log odds of p


class Entrywise(Loss):
    """The mean over a batch's known entries of y positive(f) + (1 - y) negative(f).

    An uncertain entry is masked.

    Attributes:
        counted: whether costs depend on how many training entries of each label are positive.
    """

    counted: ClassVar[bool] = False

    @property
    def deferred(self) -> bool:
        """Whether costs depend on how far the training is."""
        return False

    @abstractmethod
    def costs(self, f: Any, counts: Any, progress: Any) -> tuple[Any, Any]:
        """What logits cost, with `keras.ops`.

        Args:
            f: (N, K) logits.
            counts: (K, 2) positives and negatives in training; None unless `counted`.
            progress: share of the planned epochs over with this one; None unless `deferred`.

        Returns:
            If positive and if negative, (N, K) each.
        """
        raise NotImplementedError

    @abstractmethod
    def slopes(self, f: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How the costs change with the logit when training is over, float64.

        Args:
            f: (M, 1) logits.
            counts: (K, 2).

        Returns:
            By how much that of a positive falls, and that of a negative rises: both positive or 0,
            their shapes broadcast to (M, K).
        """
        raise NotImplementedError

    def layer(self):
        """See `Loss.layer`."""
        from cxrkeras.models.losses.shared.entry_layer import EntryLayer

        return EntryLayer(self.costs, counted=self.counted, deferred=self.deferred)

    def distortion(self, targets: Sequence[np.ndarray], rows: Sequence[np.ndarray]) -> Curve:
        """A curve: at the optimum f for probability p, p times one slope equals 1 - p times the
        other.
        """
        counts = counts_of(targets)
        up, down = np.broadcast_arrays(*self.slopes(_LOGITS, counts), np.empty((1, len(counts))))[
            :2
        ]
        with np.errstate(divide="ignore"):
            odds = np.log(down) - np.log(up)
        return Curve(tuple(_curve(of_label) for of_label in odds.T))


def counts_of(targets: Sequence[np.ndarray]) -> np.ndarray:
    """(K, 2) float64: positives and negatives among the known targets; soft or weighed ones count
    in part.
    """
    pairs = zip(*map(value_and_weight, targets), strict=True)
    values, weights = (np.concatenate(part).astype(np.float64) for part in pairs)
    known = (values >= 0) & (values <= 1)
    sides = np.where(known, values, 0), np.where(known, 1 - values, 0)
    return np.stack([(side * weights).sum(axis=0) for side in sides], axis=1)


def effective(counts: Any, beta: float, xp: ModuleType) -> tuple[Any, Any]:
    """Class-balanced weights: (1 - beta) / (1 - beta^n), those of a label's classes adding up to 2.

    Source: Cui et al., CVPR 2019 (equation 2), each label being a problem of two classes.

    Args:
        counts: (K, 2) n; one that is 0 counts as 1.
        beta: in [0, 1); 0 gives equal weights.
        xp: `numpy` or `keras.ops`.

    Returns:
        Of the positives and of the negatives, (K,) each.
    """
    weights = 1 / (1 - xp.power(beta, xp.maximum(counts, 1.0)))
    total = weights[:, 0] + weights[:, 1]
    return 2 * weights[:, 0] / total, 2 * weights[:, 1] / total


def focused(f: Any, gamma: float) -> Any:
    """Sigmoid(-f)^gamma softplus(-f) of logits: -ln q, heeded less the nearer q is to 1."""
    from keras import ops

    # As exp(-gamma softplus(f)): with gradients wherever f lies.
    return ops.exp(-gamma * ops.softplus(f)) * ops.softplus(-f)


def focused_slope(f: np.ndarray, gamma: float) -> np.ndarray:
    """By how much `focused` falls with f."""
    left = from_log_odds(-f)
    return left**gamma * (gamma * from_log_odds(f) * np.logaddexp(0, -f) + left)


def _curve(odds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (p, q), from the log odds of p at `_LOGITS`, as far as p rises with q."""
    finite = np.isfinite(odds)
    odds, logits = odds[finite], _LOGITS[finite, 0]
    rising = odds > np.maximum.accumulate(np.concatenate([[-np.inf], odds[:-1]]))
    odds, logits = odds[rising], logits[rising]
    ends = np.clip(odds[[0, -1]], -_FARTHEST, _FARTHEST)
    line = np.linspace(*ends, _POINTS)
    return from_log_odds(line), from_log_odds(np.interp(line, odds, logits))
