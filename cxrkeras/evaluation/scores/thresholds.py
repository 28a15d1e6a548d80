"""The prevalence from which a threshold can follow."""

import numpy as np
from numpy.typing import ArrayLike


def known_prevalence(prevalence: ArrayLike) -> np.ndarray:
    """A prevalence in [0, 1] as float64, NaN for 0 or 1: of one class alone nothing is learnt."""
    prevalence = np.asarray(prevalence, dtype=np.float64)
    return np.where((prevalence > 0) & (prevalence < 1), prevalence, np.nan)
