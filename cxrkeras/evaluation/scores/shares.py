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

    Cases of one patient are alike, so that n of them are worth n over the design effect (Franco et
    al., Journal of Survey Statistics and Methodology 2019). One case per patient gives Wilson's own
    interval (JASA 1927). Unlike a bootstrap's it has a width where all are hits, or none; there
    each patient counts once.

    Args:
        hits: (n,) bool.
        unit: (n,) ints from 0, whose case each is.
        level: of confidence, in (0, 1).

    Returns:
        The lower and upper end, in [0, 1].
    """
    share = float(np.mean(hits))
    sizes = np.bincount(unit)
    mixed = 0 < share < 1
    worth = len(hits) / design_effect(hits, unit) if mixed else np.count_nonzero(sizes)
    return wilson_of(share, worth, level)


def share_of(hits: np.ndarray, unit: np.ndarray) -> dict[str, float | None]:
    """`value`, `low` and `high` of a share, see `wilson`, at `LEVEL`; None each of no case."""
    if not len(hits):
        return {"value": None, "low": None, "high": None}
    low, high = wilson(hits, unit, LEVEL)
    return {"value": float(np.mean(hits)), "low": low, "high": high}


def design_effect(hits: np.ndarray, unit: np.ndarray) -> float:
    """How many cases are worth one independent case, at least 1.

    The larger of two estimates. One is the variance between patients over the binomial one (Rao and
    Scott, Biometrics 1992); from few patients, or if some have many cases, it comes out too small.
    The other, 1 + r (sum of squared sizes / n - 1) (Kish, Survey Sampling 1965), is steadier, but
    takes all patients for alike; r is the intraclass correlation by analysis of variance (Ridout et
    al., Biometrics 1999), within [0, 1]. `experiments/coverage.py --task shares` has the coverage.

    Args:
        hits: (n,) bool, of both kinds.
        unit: (n,) ints from 0, whose case each is.
    """
    sizes = np.bincount(unit)
    found = np.bincount(unit, weights=hits)[sizes > 0]
    sizes = sizes[sizes > 0].astype(np.float64)
    n, share = sizes.sum(), found.sum() / sizes.sum()
    surplus = found - sizes * share
    between = float(surplus @ surplus) / (n * share * (1 - share))
    alike = 1 + _intraclass(found, sizes) * (float(sizes @ sizes) / n - 1)
    return max(1.0, between, alike)


def _intraclass(found: np.ndarray, sizes: np.ndarray) -> float:
    """The correlation within patients; 1 for a single patient, of whom it can't be known."""
    n, patients = sizes.sum(), len(sizes)
    if patients == 1 or n == patients:
        return float(patients == 1)
    shares = found / sizes
    usual = (n - float(sizes @ sizes) / n) / (patients - 1)
    between = float(sizes @ (shares - found.sum() / n) ** 2) / (patients - 1)
    within = float(found @ (1 - shares)) / (n - patients)
    return float(np.clip((between - within) / (between + (usual - 1) * within), 0, 1))
