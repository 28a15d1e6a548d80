"""Greedy choice of an ensemble's members on out-of-fold scores, and what it is worth on new ones.

Source: Caruana et al., ICML 2004 (forward selection with replacement, no bagging).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxrkeras.evaluation.compare.resampling import Ranking
from cxrkeras.evaluation.scores.counted import counted

METRICS = ("auroc", "average_precision")
ROUNDS = 50


@dataclass(frozen=True)
class Selection:
    """Which members were chosen, and how good a choice of this kind is.

    Args:
        counts: (M,) how often each member was taken, of all folds.
        by_fold: {fold: (M,) of the other folds alone}.
        apparent: the macro score within a fold of the choice that has seen it, the mean over folds.
        nested: that of the choice that hasn't, which is what new films may expect. None where no
            fold has a score, as `apparent`.
    """

    counts: np.ndarray
    by_fold: dict[str, np.ndarray]
    apparent: float | None
    nested: float | None


def select(
    truth: np.ndarray,
    parts: Sequence[np.ndarray],
    fold: np.ndarray,
    labels: Sequence[str],
    metric: str = "auroc",
) -> Selection:
    """Choose on all folds, and for each fold on the others.

    Args:
        truth: (N, K) 1, 0, or NaN for unknown.
        parts: M members' (N, K), of which an ensemble takes the mean.
        fold: (N,) text, the fold that held each row out; two at least.
        labels: the K names, which decide what counts in the macro score.
        metric: of `METRICS`.
    """
    names = list(dict.fromkeys(fold.tolist()))
    whole = greedy(truth, parts, labels, metric)
    by_fold, apparent, nested = {}, [], []
    for name in names:
        own, others = fold == name, fold != name
        by_fold[name] = greedy(truth[others], [p[others] for p in parts], labels, metric)
        for scores, counts in ((apparent, whole), (nested, by_fold[name])):
            mean = np.average([p[own] for p in parts], axis=0, weights=counts)
            scores.append(_score(truth[own], mean, labels, metric))
    return Selection(whole, by_fold, _known_mean(apparent), _known_mean(nested))


def greedy(
    truth: np.ndarray, parts: Sequence[np.ndarray], labels: Sequence[str], metric: str
) -> np.ndarray:
    """(M,) ints: how often each member is taken.

    In each of `ROUNDS` the one is added, again if need be, with which the mean scores best (of
    equals the first); the shortest of the best ensembles on the way is kept. Arguments as `select`.
    """
    counts = np.zeros(len(parts), int)
    best, kept = -np.inf, counts
    total = np.zeros(truth.shape)
    for size in range(1, ROUNDS + 1):
        scores = [_score(truth, (total + part) / size, labels, metric) for part in parts]
        scores = np.nan_to_num(scores, nan=-np.inf)
        taken = int(np.argmax(scores))
        counts = counts + (np.arange(len(parts)) == taken)
        total = total + parts[taken]
        if size == 1 or scores[taken] > best:
            best, kept = scores[taken], counts
    return kept


def _score(truth: np.ndarray, scores: np.ndarray, labels: Sequence[str], metric: str) -> float:
    """Macro over the labels that count and have the score; NaN where none has."""
    alone, once = np.zeros(len(truth), int), np.ones((1, 1), np.int32)
    place = METRICS.index(metric)
    found = [
        Ranking(truth[:, k], scores[:, k], alone, 1).scores(once)[place][0]
        for k in np.flatnonzero(counted(labels))
    ]
    known = _known_mean(found)
    return np.nan if known is None else known


def _known_mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None
