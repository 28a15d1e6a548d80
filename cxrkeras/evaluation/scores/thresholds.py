"""Operating points from prevalence: the study's rule, and the same rule on undistorted odds.

Every function works elementwise on floats or arrays; shapes broadcast.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

_TINY = 1e-12
RULES = {
    "prevalence": "score above the training prevalence (the study's rule)",
    "corrected": "score above the training prevalence once the loss's inflation is undone",
}


def prevalence_threshold(prevalence: ArrayLike) -> np.ndarray:
    """The study's rule: call a label when its score exceeds the training prevalence.

    The study prints its threshold as (1 - P) n+/n-; read as the rule P > (1 - P) n+/n-, that is
    P > n+/N exactly: odds above the prevalence odds.

    Args:
        prevalence: share of positives in the training part, in [0, 1].

    Returns:
        The threshold in (0, 1), float64; NaN for a prevalence of 0 or 1, where nothing was learnt.
    """
    prevalence = np.asarray(prevalence, dtype=np.float64)
    return np.where((prevalence > 0) & (prevalence < 1), prevalence, np.nan)


def corrected_threshold(prevalence: ArrayLike, inflation: ArrayLike) -> np.ndarray:
    """The same operating point for scores that a weighted loss inflated: w pi / (w pi + 1 - pi).

    Args:
        prevalence: share of positives in the training part, in [0, 1].
        inflation: w = |N|/|P| > 0, the factor that the loss's weights put on the odds; 1 for plain
            binary cross-entropy, where the result is the prevalence itself.

    Returns:
        The threshold in (0, 1), float64; NaN where `prevalence_threshold` is NaN.
    """
    return inflate(prevalence_threshold(prevalence), inflation)


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


def by_rule(prevalence: ArrayLike, inflation: ArrayLike) -> Mapping[str, np.ndarray]:
    """Both thresholds by name, as `metrics.evaluate` takes them."""
    return {
        "prevalence": prevalence_threshold(prevalence),
        "corrected": corrected_threshold(prevalence, inflation),
    }


def _factor(inflation: ArrayLike) -> np.ndarray:
    w = np.asarray(inflation, dtype=np.float64)
    if not np.all((w > 0) & np.isfinite(w)):
        raise ValueError(f"inflation must be positive and finite. Received: {inflation}")
    return w
