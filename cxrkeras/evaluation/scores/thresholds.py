"""Odds as a weighted loss distorts them, and back.

Every function works elementwise on floats or arrays; shapes broadcast.
"""

import numpy as np
from numpy.typing import ArrayLike

_TINY = 1e-12


def known_prevalence(prevalence: ArrayLike) -> np.ndarray:
    """A prevalence in [0, 1] as float64, NaN for 0 or 1: of one class alone nothing is learnt."""
    prevalence = np.asarray(prevalence, dtype=np.float64)
    return np.where((prevalence > 0) & (prevalence < 1), prevalence, np.nan)


def inflate(probability: ArrayLike, inflation: ArrayLike) -> np.ndarray:
    """What a loss weighted by w makes of a probability p: q / (1 - q) = w p / (1 - p)."""
    p, w = np.asarray(probability, dtype=np.float64), _factor(inflation)
    return w * p / (w * p + (1 - p))


def deflate(score: ArrayLike, inflation: ArrayLike) -> np.ndarray:
    """The inverse of `inflate`: the probability p behind a score q of a loss weighted by w."""
    q, w = np.asarray(score, dtype=np.float64), _factor(inflation)
    return q / (q + w * (1 - q))


def log_odds(probability: ArrayLike) -> np.ndarray:
    """Ln p / (1 - p), float64, kept finite at 0 and 1."""
    p = np.clip(np.asarray(probability, dtype=np.float64), _TINY, 1 - _TINY)
    return np.log(p) - np.log1p(-p)


def _factor(inflation: ArrayLike) -> np.ndarray:
    w = np.asarray(inflation, dtype=np.float64)
    if not np.all((w > 0) & np.isfinite(w)):
        raise ValueError(f"inflation must be positive and finite. Received: {inflation}")
    return w
