"""How alike the scores of several runs rank the images.

Source: Spearman, American Journal of Psychology 1904;15:72. Baltruschat et al. compare models so.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from scipy.stats import rankdata

from cxrkeras.evaluation.scores.counted import counted
from cxrkeras.evaluation.scores.predictions import Predictions


def rank_correlations(aligned: Mapping[str, Predictions]) -> list[dict]:
    """Spearman's correlation of the scores of each two runs, label by label.

    Ties share their mean rank. All images count, whether their truth is known or not; out-of-fold
    scores are ranked together, as they are for the pooled AUROC.

    Args:
        aligned: predictions by name, with the same images and labels in the same order.

    Returns:
        [{`runs`: two names, `mean`: over the labels that count (`counted`), `per_label`: {label:
        correlation, -1 to 1}}], None where a run's scores are all equal.
    """
    ranks = {name: _standardised(p.prob) for name, p in aligned.items()}
    return [_pair(a, b, ranks, aligned[a].labels) for a, b in combinations(aligned, 2)]


def _standardised(prob: np.ndarray) -> np.ndarray:
    """(N, K) ranks with mean 0 and norm 1 by label; NaN where all are equal."""
    ranks = rankdata(prob, axis=0)
    ranks -= ranks.mean(axis=0)
    norm = np.linalg.norm(ranks, axis=0)
    return ranks / np.where(norm > 0, norm, np.nan)


def _pair(one: str, other: str, ranks: Mapping[str, np.ndarray], labels: tuple[str, ...]) -> dict:
    found = np.clip((ranks[one] * ranks[other]).sum(axis=0), -1, 1)
    known = found[np.isfinite(found) & counted(labels)]
    return {
        "runs": [one, other],
        "mean": float(known.mean()) if len(known) else None,
        "per_label": {
            label: float(value) if np.isfinite(value) else None
            for label, value in zip(labels, found, strict=True)
        },
    }
