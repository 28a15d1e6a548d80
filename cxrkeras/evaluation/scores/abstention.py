"""Withholding decisions: on the films whose score lies nearest to the threshold.

Source: Chow, IEEE Transactions on Information Theory 1970 (the reject option).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from cxrkeras.data.distortion import log_odds
from cxrkeras.evaluation.rules import FittedRule
from cxrkeras.evaluation.scores.operating import achieved, cuts_by_others

WITHHELD = "withheld"


def fit_abstention(
    labels: Sequence[str],
    truth: np.ndarray,
    score: np.ndarray,
    thresholds: np.ndarray,
    share: float,
    fold: np.ndarray,
    rows: np.ndarray,
) -> dict[str, dict]:
    """By label how far from its threshold a score must lie to be decided upon.

    Far is meant in log odds. The scores reached are cross-fitted: each fold is judged at its own
    thresholds, by the distance that the others give.

    Args:
        labels: K names.
        truth: (N, K) float; 1, 0, or NaN for unknown: such an entry counts nowhere.
        score: (N, K) in [0, 1], out of fold.
        thresholds: (K,) at which new films are judged, NaN where there is none.
        share: of the films, on which the decision is withheld; in (0, 1).
        fold: (N,) the fold that held each row out.
        rows: (N, K) the thresholds at which each row is judged, see `crossed_thresholds`.

    Returns:
        {label: {`cut` in log odds, `low` and `high` as scores, between which nothing is decided;
        `coverage`, the share of the rows decided upon, `sensitivity` and `specificity` among
        these, `n` of them and their `positives`}}; None where there is no threshold, or no class.
    """
    return {
        name: _of_label(truth[:, k], score[:, k], thresholds[k], share, fold, rows[:, k])
        for k, name in enumerate(labels)
    }


def withheld(
    found: Mapping[str, Mapping | None],
    labels: Sequence[str],
    thresholds: np.ndarray,
    score: np.ndarray,
) -> np.ndarray:
    """(N, K) bool: where no decision is made.

    Args:
        found: from `fit_abstention`.
        labels: K names.
        thresholds: (K,), as there.
        score: (N, K) of films.
    """
    cuts = np.array([found[name]["cut"] if found[name] else np.nan for name in labels], np.float64)
    with np.errstate(invalid="ignore"):
        return _apart(score, thresholds) <= cuts


def crossed_thresholds(
    rule: FittedRule, truth: np.ndarray, score: np.ndarray, fold: np.ndarray
) -> np.ndarray:
    """(N, K) thresholds of a rule, each fold's from the others; NaN where a class lacks."""
    found = np.full(score.shape, np.nan)
    for k in range(score.shape[1]):
        known = np.isfinite(truth[:, k])
        y, p = truth[known, k] == 1, score[known, k]
        found[known, k] = cuts_by_others(y, p, [rule], fold[known])[0]
    return found


def _of_label(
    truth: np.ndarray,
    score: np.ndarray,
    threshold: float,
    share: float,
    fold: np.ndarray,
    rows: np.ndarray,
) -> dict | None:
    known = np.isfinite(truth) & np.isfinite(rows)
    if not np.isfinite(threshold) or not known.any():
        return None
    y, p, own, fold = truth[known] == 1, score[known], rows[known], fold[known]
    apart, decided = _apart(p, own), np.zeros(len(p), bool)
    for number in np.unique(fold):
        here = fold == number
        if here.all():
            return None
        decided[here] = apart[here] > _cut(apart[~here], share)
    cut = _cut(apart, share)
    middle = log_odds(np.array(threshold))
    low, high = (1 / (1 + np.exp(-(middle + side * cut))) for side in (-1, 1))
    return {
        "cut": float(cut),
        "low": float(low),
        "high": float(high),
        "coverage": float(decided.mean()),
        **achieved(y[decided], p[decided] > own[decided]),
        "n": int(decided.sum()),
        "positives": int(y[decided].sum()),
    }


def _apart(score: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    return np.abs(log_odds(score) - log_odds(np.asarray(threshold, np.float64)))


def _cut(apart: np.ndarray, share: float) -> float:
    """The distance below or at which a share of films lies."""
    return float(np.quantile(apart, share, method="lower"))
