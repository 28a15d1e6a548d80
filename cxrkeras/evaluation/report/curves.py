"""The points of ROC, precision-recall and reliability curves, thinned to what the eye can see."""

import numpy as np
from skimage.measure import approximate_polygon
from sklearn.metrics import precision_recall_curve, roc_curve

TOLERANCE = 0.002  # of the unit square: half a pixel in a panel 240 px wide


def roc_points(truth: np.ndarray, prob: np.ndarray) -> np.ndarray | None:
    """(P, 2) false and true positive rates; None when a class is absent. NaN truth is left out."""
    y, p = _known(truth, prob)
    if len(np.unique(y)) < 2:
        return None
    fpr, tpr, _ = roc_curve(y, p)
    return approximate_polygon(np.column_stack([fpr, tpr]), TOLERANCE)


def pr_points(truth: np.ndarray, prob: np.ndarray) -> np.ndarray | None:
    """(P, 2) recall and precision as the step line whose area is the average precision."""
    y, p = _known(truth, prob)
    if len(np.unique(y)) < 2:
        return None
    precision, recall, _ = precision_recall_curve(y, p, drop_intermediate=True)
    recall, precision = recall[::-1], precision[::-1]
    # from one recall to the next at the latter's precision; the point (0, 1) is no operating point
    steps = np.column_stack([np.repeat(recall, 2)[1:-1], np.repeat(precision, 2)[2:]])
    return approximate_polygon(steps, TOLERANCE)


def reliability_points(truth: np.ndarray, prob: np.ndarray, bins: int = 10) -> np.ndarray | None:
    """(B, 2) mean score and observed share of positives in up to `bins` bins of equal count.

    Equal scores stay in one bin, so there may be fewer. None when nothing is known.
    """
    y, p = _known(truth, prob)
    if not len(y):
        return None
    index = equal_count_bins(p, bins)
    counts = np.bincount(index)
    used = counts > 0
    sums = [np.bincount(index, weights=values)[used] / counts[used] for values in (p, y)]
    return np.column_stack(sums)


def equal_count_bins(score: np.ndarray, bins: int = 10) -> np.ndarray:
    """(N,) the number of each score's bin, of up to `bins` of equal count; equal scores share."""
    edges = np.unique(np.quantile(score, np.linspace(0, 1, bins + 1))[1:-1])
    return np.searchsorted(edges, score, side="left")


def _known(truth: np.ndarray, prob: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(truth)
    return truth[known], prob[known]
