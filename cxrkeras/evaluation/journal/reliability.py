"""Do probabilities mean what they say: Brier score, calibration error, and a curve with bands."""

import numpy as np
from scipy.sparse import csr_array
from scipy.special import ndtri

from cxrkeras.evaluation.report.curves import equal_count_bins
from cxrkeras.evaluation.scores.calibration import brier, expected_calibration_error
from cxrkeras.evaluation.scores.shares import LEVEL, wilson


def reliability(truth: np.ndarray, prob: np.ndarray, unit: np.ndarray) -> dict | None:
    """Calibration of one label's probabilities.

    Args:
        truth: (n,) bool.
        prob: (n,) in [0, 1].
        unit: (n,) ints from 0: the patient of each film.

    Returns:
        `brier` {value, low, high}, `constant` (the Brier score of always answering the prevalence),
        `skill` (1 - brier / constant; None where that is 0), `ece` (see
        `calibration.expected_calibration_error`), `mean` probability, `prevalence`, and `bins`: up
        to ten of equal count, [{`n`, `probability` (mean), `share` (positive), `low`, `high`}].
        JSON-ready; None without a film.
    """
    if not len(truth):
        return None
    share = float(truth.mean())
    score, constant = brier(truth, prob), share * (1 - share)
    return {
        "brier": mean_interval((prob - truth) ** 2, unit),
        "constant": constant,
        "skill": 1 - score / constant if constant else None,
        "ece": expected_calibration_error(truth, prob),
        "mean": float(prob.mean()),
        "prevalence": share,
        "bins": _bins(truth, prob, unit),
    }


def _bins(truth: np.ndarray, prob: np.ndarray, unit: np.ndarray) -> list[dict]:
    index = equal_count_bins(prob)
    found = []
    for number in np.unique(index):
        rows = index == number
        low, high = wilson(truth[rows], unit[rows], LEVEL)
        found.append(
            {
                "n": int(rows.sum()),
                "probability": float(prob[rows].mean()),
                "share": float(truth[rows].mean()),
                "low": low,
                "high": high,
            }
        )
    return found


def mean_interval(values: np.ndarray, unit: np.ndarray) -> dict[str, float | None]:
    """A mean over films and its interval, as `mean_intervals` has it, of (n,) values: `value`,
    `low`, `high`; no interval for a single patient.
    """
    found = [part[0] for part in mean_intervals(values[:, None], unit)]
    numbers = (float(one) if np.isfinite(one) else None for one in found)
    return dict(zip(("value", "low", "high"), numbers, strict=True))


def mean_intervals(values: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, ...]:
    """Means over films and their normal intervals, by patients.

    The variance is that of a ratio of sums over patients (Cochran, Sampling Techniques 1977, 6.3):
    m / (m - 1) times the summed squares of what each of m patients adds to n times the mean, over
    n².

    Args:
        values: (n, T) float.
        unit: (n,) ints from 0: the patient of each film.

    Returns:
        (T,) means, lower and upper ends; the ends are NaN for a single patient.
    """
    n, mean = len(values), values.mean(axis=0)
    patients = np.count_nonzero(np.bincount(unit))
    if patients < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    of_patient = csr_array((np.ones(n), (unit, np.arange(n))))
    surplus = of_patient @ (values - mean)
    error = np.sqrt(patients / (patients - 1) * np.sum(surplus**2, axis=0)) / n
    reach = float(ndtri((1 + LEVEL) / 2)) * error
    return mean, mean - reach, mean + reach
