"""Wilson's interval of a share, also where cases of one patient are alike."""

import numpy as np
from scipy.special import ndtri

LEVEL = 0.95


def wilson_of(share: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval (JASA 1927) of a share of n independent cases.

    Args:
        share: in [0, 1].
        n: above 0.
        level: of confidence, in (0, 1).

    Returns:
        The lower and upper end, in [0, 1].
    """
    z = float(ndtri((1 + level) / 2))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def wilson(hits: np.ndarray, unit: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval of a share, on the number of cases that patients' likeness leaves.

    Cases of one patient are alike, so that n of them are worth n over the design effect, the
    variance between patients over the binomial one (Rao & Scott, Biometrics 1992). One case per
    patient gives Wilson's own interval (JASA 1927). Unlike a bootstrap's it has a width where all
    are hits, or none; there each patient counts once.

    Args:
        hits: (n,) bool.
        unit: (n,) ints, whose case each is.
        level: of confidence, in (0, 1).

    Returns:
        The lower and upper end, in [0, 1].
    """
    n, share = len(hits), float(np.mean(hits))
    if 0 < share < 1:
        surplus = np.bincount(unit, weights=hits - share)
        worth = n / max(1.0, float(surplus @ surplus) / (n * share * (1 - share)))
    else:
        worth = len(np.unique(unit))
    return wilson_of(share, worth, level)
