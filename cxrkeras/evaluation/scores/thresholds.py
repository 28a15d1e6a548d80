"""Operating points from prevalence: the study's rule, and the same rule on undistorted odds.

Every function works elementwise on floats or arrays; shapes broadcast.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from cxrkeras.data.distortion import Distortion

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


def by_rule(prevalence: ArrayLike, distortion: Distortion | None) -> Mapping[str, np.ndarray]:
    """Both thresholds by name, as `metrics.evaluate` takes them.

    `corrected` is the same operating point for scores that a loss distorted, for a factor w on the
    odds w pi / (w pi + 1 - pi).

    Args:
        prevalence: (..., K) shares of positives in the training part, in [0, 1].
        distortion: of the loss; where it isn't known there is no `corrected`.
    """
    plain = prevalence_threshold(prevalence)
    if distortion is None:
        return {"prevalence": plain}
    return {"prevalence": plain, "corrected": distortion.distort(plain)}
