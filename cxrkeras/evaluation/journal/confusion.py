"""What decisions achieve: counts, and shares with intervals that know whose films they are."""

from collections.abc import Mapping, Sequence

import numpy as np

from cxrkeras.evaluation.scores.shares import share_of

SHARES = ("sensitivity", "specificity", "ppv", "npv")


def confusion(truth: np.ndarray, called: np.ndarray, unit: np.ndarray) -> dict:
    """Counts and shares of one label's decisions.

    Args:
        truth: (n,) bool.
        called: (n,) bool: decided positive.
        unit: (n,) ints from 0: the patient of each film.

    Returns:
        `tp`, `fp`, `tn`, `fn`; and `sensitivity`, `specificity`, `ppv`, `npv`, {value, low, high}
        each, see `shares.wilson`; None where there is no such film. JSON-ready.
    """
    right = called == truth
    among = dict(zip(SHARES, (truth, ~truth, called, ~called), strict=True))
    return {
        "tp": int((truth & called).sum()),
        "fp": int((~truth & called).sum()),
        "tn": int((~truth & ~called).sum()),
        "fn": int((truth & ~called).sum()),
        **{name: share_of(right[rows], unit[rows]) for name, rows in among.items()},
    }


def confusions(
    labels: Sequence[str],
    truth: np.ndarray,
    calls: Mapping[str, np.ndarray],
    unit: np.ndarray,
) -> dict[str, dict[str, dict | None]]:
    """{rule: {label: `confusion`}}, None for a label without decisions.

    Args:
        labels: K names.
        truth: (N, K) float: 1, 0, or NaN, which counts nowhere.
        calls: by rule (N, K) float: 1, 0, or NaN where nothing is decided.
        unit: (N,) ints from 0: the patient of each film.
    """
    return {
        rule: {label: _label(truth[:, k], called[:, k], unit) for k, label in enumerate(labels)}
        for rule, called in calls.items()
    }


def _label(truth: np.ndarray, called: np.ndarray, unit: np.ndarray) -> dict | None:
    known = np.isfinite(truth) & np.isfinite(called)
    if not known.any():
        return None
    return confusion(truth[known] == 1, called[known] == 1, unit[known])
