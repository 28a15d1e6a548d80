"""What a loss makes of probabilities, and its undoing: one factor on the odds, or a curve.

A loss with weights is smallest where the odds q / (1 - q) of its scores are w times the true odds,
a factor that is known by label. Other losses (focal, Lin et al., ICCV 2017) bend probabilities
along a curve. Of some nothing is known: there is no `Distortion` then, and nothing adjusted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

_TINY = 1e-12


class Distortion:
    """Of K labels; (..., K) float64 in and out, in [0, 1], rising in each label.

    Attributes:
        none: whether it changes nothing.
    """

    none: bool = False

    @staticmethod
    def from_facts(facts: Mapping[str, Any], labels: Sequence[str]) -> "Distortion | None":
        """What `model.json`, `fold.json` or a part of `metrics.json` says; None for nothing.

        Args:
            facts: `inflation` {label: w}, or `distortion` {label: {`p`: […], `q`: […]}}.
            labels: K names.

        Raises:
            KeyError, TypeError, ValueError: they don't say it of every label.
        """
        if facts.get("inflation") is not None:
            return Factor([facts["inflation"][name] for name in labels])
        if facts.get("distortion") is not None:
            curves = (facts["distortion"][name] for name in labels)
            return Curve(tuple((np.array(one["p"]), np.array(one["q"])) for one in curves))
        return None

    def as_facts(self, labels: Sequence[str]) -> dict[str, Any]:
        """What `from_facts` reads, JSON-ready."""
        raise NotImplementedError

    def distort(self, p: ArrayLike) -> np.ndarray:
        """The scores as which true probabilities come out."""
        raise NotImplementedError

    def undistort(self, q: ArrayLike) -> np.ndarray:
        """The inverse: the probabilities behind scores."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Factor(Distortion):
    """Odds times `w`.

    Args:
        w: (K,) or (..., K), positive and finite.
    """

    w: ArrayLike

    def __post_init__(self) -> None:
        w = np.asarray(self.w, dtype=np.float64)
        if not np.all((w > 0) & np.isfinite(w)):
            raise ValueError(f"inflation must be positive and finite. Received: {self.w}")
        object.__setattr__(self, "w", w)

    @property
    def none(self) -> bool:
        """Whether all factors are 1."""
        return bool((self.w == 1).all())

    def as_facts(self, labels: Sequence[str]) -> dict[str, Any]:
        """Of one model, whose `w` is (K,)."""
        return {"inflation": dict(zip(labels, map(float, self.w), strict=True))}

    def distort(self, p: ArrayLike) -> np.ndarray:
        """Q with q / (1 - q) = w p / (1 - p)."""
        p = np.asarray(p, dtype=np.float64)
        return self.w * p / (self.w * p + (1 - p))

    def undistort(self, q: ArrayLike) -> np.ndarray:
        """P with p / (1 - p) = q / (w (1 - q))."""
        q = np.asarray(q, dtype=np.float64)
        return q / (q + self.w * (1 - q))


@dataclass(frozen=True, eq=False)
class Curve(Distortion):
    """A rising line through (p, q) for each label, straight between log odds, with slope 1 beyond.

    Args:
        points: K pairs of (M,) true probabilities and the scores as which they come out, both
            rising; 0 and 1 stand for log odds of about 28.
    """

    points: tuple[tuple[np.ndarray, np.ndarray], ...]

    def as_facts(self, labels: Sequence[str]) -> dict[str, Any]:
        """As `Distortion` says."""
        pairs = ({"p": p.tolist(), "q": q.tolist()} for p, q in self.points)
        return {"distortion": dict(zip(labels, pairs, strict=True))}

    def distort(self, p: ArrayLike) -> np.ndarray:
        """As `Distortion` says."""
        return self._along(p, 0, 1)

    def undistort(self, q: ArrayLike) -> np.ndarray:
        """As `Distortion` says."""
        return self._along(q, 1, 0)

    def _along(self, values: ArrayLike, start: int, end: int) -> np.ndarray:
        values = np.asarray(values, dtype=np.float64)
        columns = [
            _interpolated(values[..., k], log_odds(pair[start]), log_odds(pair[end]))
            for k, pair in enumerate(self.points)
        ]
        return np.stack(columns, axis=-1)


@dataclass(frozen=True, eq=False)
class ByRow(Distortion):
    """N rows, each distorted as the model that scored it does.

    Args:
        parts: of the models.
        rows: (N,) ints: the part of each row.
    """

    parts: tuple[Distortion, ...]
    rows: np.ndarray

    @property
    def none(self) -> bool:
        """Whether no model distorts."""
        return all(part.none for part in self.parts)

    def distort(self, p: ArrayLike) -> np.ndarray:
        """As `Distortion` says, of (N, K)."""
        return self._each("distort", p)

    def undistort(self, q: ArrayLike) -> np.ndarray:
        """As `Distortion` says, of (N, K)."""
        return self._each("undistort", q)

    def _each(self, way: str, values: ArrayLike) -> np.ndarray:
        found = np.array(values, dtype=np.float64)
        for number, part in enumerate(self.parts):
            here = self.rows == number
            found[here] = getattr(part, way)(found[here])
        return found


def by_row(parts: Sequence[Distortion | None], rows: np.ndarray) -> Distortion | None:
    """Of rows scored by several models, see `ByRow`; None where one part isn't known."""
    if any(part is None for part in parts):
        return None
    if all(isinstance(part, Factor) for part in parts):
        return Factor(np.stack([part.w for part in parts])[rows])
    return ByRow(tuple(parts), rows)


def averaged(
    parts: Sequence[Distortion | None], weights: Sequence[float] | None = None
) -> Distortion | None:
    """Of an ensemble of models: the mean of their logs of odds, by weight.

    None where a part isn't known, or where curves differ from model to model.
    """
    if parts and all(isinstance(part, Factor) for part in parts):
        logs = np.log([part.w for part in parts])
        if weights is None:
            return Factor(np.exp(logs.mean(axis=0)))
        return Factor(np.exp(np.average(logs, axis=0, weights=weights)))
    first = parts[0] if parts else None
    if isinstance(first, Curve) and all(_same(first, part) for part in parts[1:]):
        return first
    return None


def log_odds(probability: ArrayLike) -> np.ndarray:
    """Ln p / (1 - p), float64, kept finite at 0 and 1."""
    p = np.clip(np.asarray(probability, dtype=np.float64), _TINY, 1 - _TINY)
    return np.log(p) - np.log1p(-p)


def from_log_odds(x: ArrayLike) -> np.ndarray:
    """The inverse of `log_odds`, without overflow."""
    x = np.asarray(x, dtype=np.float64)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def _interpolated(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    at = log_odds(values)
    beyond = np.minimum(at - x[0], 0) + np.maximum(at - x[-1], 0)
    found = from_log_odds(np.interp(at, x, y) + beyond)
    return np.where((values > 0) & (values < 1), found, values)  # 0, 1 and NaN stay


def _same(curve: Curve, other: Distortion | None) -> bool:
    return isinstance(other, Curve) and all(
        np.array_equal(a, b)
        for ours, theirs in zip(curve.points, other.points, strict=True)
        for a, b in zip(ours, theirs, strict=True)
    )
