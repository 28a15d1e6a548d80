"""Operating points: from prevalence, or fitted on predictions whose truth is known.

For every rule a label is positive if its score *exceeds* the threshold.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from cxrkeras.data.distortion import Distortion, by_row
from cxrkeras.evaluation.rules import FittedRule, PrevalenceRule, parse_rule
from cxrkeras.evaluation.scores.curve import Curve

STANDARD = tuple(
    parse_rule(text)
    for text in (
        "youden",
        *(f"sensitivity={share}" for share in (0.8, 0.9, 0.95, 0.99)),
        *(f"specificity={share}" for share in (0.8, 0.9, 0.95, 0.99)),
    )
)
"""The fitted rules that every run and every final model has."""

FROM_PREVALENCE = (parse_rule("prevalence"), parse_rule("corrected"))
"""The rules that every run and every model has without predictions."""


def fit_points(
    labels: Sequence[str],
    truth: np.ndarray,
    score: np.ndarray,
    rules: Sequence[FittedRule],
    *,
    fold: np.ndarray | None = None,
    where: str = "predictions",
) -> dict[str, dict[str, dict]]:
    """Operating points per rule and label, fitted on scores whose truth is known.

    Args:
        labels: K names.
        truth: (N, K) float; 1, 0, or NaN for unknown: such an entry counts nowhere.
        score: (N, K) float in [0, 1].
        rules: how each point is fitted.
        fold: (N,) the fold that held each row out; then `cross_fitted` says what sensitivity and
            specificity result if each fold is judged at the threshold fitted on the others.
        where: what the rows are, in the plural.

    Returns:
        {rule: {label: {`threshold`, `from` (in words), `sensitivity`, `specificity`, `n`,
        `positives`, `cross_fitted` (see `reached`) or None}}}. The threshold and its
        scores are None where a class is missing.
    """
    by_label = {
        name: _fit_label(truth[:, k], score[:, k], rules, fold, where)
        for k, name in enumerate(labels)
    }
    return {str(rule): {name: by_label[name][rule] for name in labels} for rule in rules}


def prevalence_points(
    labels: Sequence[str],
    prevalence: np.ndarray,
    distortions: Sequence[Distortion | None],
    rules: Sequence[PrevalenceRule] = FROM_PREVALENCE,
) -> dict[str, dict[str, dict]]:
    """Operating points that need no predictions, of one model or the mean over several.

    Args:
        labels: K names.
        prevalence: (M, K) of M models' training parts; NaN where not known.
        distortions: of their losses.
        rules: how each point follows from these.

    Returns:
        {rule: {label: {`threshold` or None, `from`}}}, without the rules that need a distortion
        that isn't known.
    """
    distortion = by_row(distortions, np.arange(len(distortions)))
    thresholds = from_prevalence(prevalence, distortion, rules)
    return {
        str(rule): {
            name: _point(rule, _mean_of_known(thresholds[str(rule)][:, k]))
            for k, name in enumerate(labels)
        }
        for rule in rules
        if str(rule) in thresholds
    }


def from_prevalence(
    prevalence: ArrayLike,
    distortion: Distortion | None,
    rules: Sequence[PrevalenceRule] = FROM_PREVALENCE,
) -> dict[str, np.ndarray]:
    """Thresholds by rule, elementwise, as `metrics.evaluate` takes them.

    Args:
        prevalence: share of positives in the training part, in [0, 1]; NaN where not known.
        distortion: what the loss did to probabilities of the same shape; None where that isn't
            known: the rules that need it are left out.
        rules: how thresholds follow from these.
    """
    prevalence = np.asarray(prevalence, dtype=np.float64)
    distort = distortion.distort if distortion is not None else None
    usable = [rule for rule in rules if distort is not None or not rule.needs_distortion]
    return {str(rule): rule.threshold(prevalence, distort) for rule in usable}


def _point(rule: PrevalenceRule, threshold: float | None) -> dict:
    unknown = "training prevalence isn't known, or is 0 or 1"
    return {"threshold": threshold, "from": unknown if threshold is None else rule.origin()}


def add_held_out(
    points: Mapping[str, Mapping[str, dict]],
    labels: Sequence[str],
    truth: np.ndarray,
    score: np.ndarray,
) -> None:
    """Add to each point what it achieves on images that nothing was fitted on.

    Args:
        points: {rule: {label: point}}; each point gets `held_out`, see `reached`.
        labels: K names.
        truth: (N, K) float; 1, 0, or NaN for unknown.
        score: (N, K) float in [0, 1], by the very model that the points are for.
    """
    for by_label in points.values():
        for k, label in enumerate(labels):
            threshold, known = by_label[label]["threshold"], np.isfinite(truth[:, k])
            y, p = truth[known, k] == 1, score[known, k]
            by_label[label]["held_out"] = reached(y, None if threshold is None else p > threshold)


def thresholds_of(points: Mapping[str, Mapping], labels: Sequence[str]) -> np.ndarray:
    """(K,) float64 thresholds of {label: point}, NaN if there is none."""
    return np.array([points[name]["threshold"] for name in labels], dtype=np.float64)


def _fit_label(
    truth: np.ndarray,
    score: np.ndarray,
    rules: Sequence[FittedRule],
    fold: np.ndarray | None,
    where: str,
) -> dict[FittedRule, dict]:
    known = np.isfinite(truth)
    y, p = truth[known] == 1, score[known]
    thresholds = _thresholds(y, p, rules)
    crossed = _cross_fitted(y, p, rules, None if fold is None else fold[known])
    return {
        rule: {
            "threshold": threshold,
            "from": _origin(rule, y, where),
            **reached(y, None if threshold is None else p > threshold),
            "cross_fitted": crossed[rule],
        }
        for rule, threshold in zip(rules, thresholds, strict=True)
    }


def _origin(rule: FittedRule, y: np.ndarray, where: str) -> str:
    n, positives = len(y), int(y.sum())
    text = f"{rule.origin()} on {n:,} {where}"
    if not 0 < positives < n:
        return f"{text}: no {'negative' if positives else 'positive'} among them"
    return f"{text}, {positives:,} positive"


def _thresholds(y: np.ndarray, p: np.ndarray, rules: Sequence[FittedRule]) -> list[float | None]:
    if not 0 < y.sum() < len(y):
        return [None] * len(rules)
    curve = Curve(y, p)
    return [rule.threshold(curve) for rule in rules]


def _cross_fitted(
    y: np.ndarray, p: np.ndarray, rules: Sequence[FittedRule], fold: np.ndarray | None
) -> dict[FittedRule, dict | None]:
    called = None if fold is None else crossed(y, p, rules, fold)
    if called is None:
        return dict.fromkeys(rules)
    return {rule: reached(y, calls) for rule, calls in zip(rules, called, strict=True)}


def crossed(
    y: np.ndarray, p: np.ndarray, rules: Sequence[FittedRule], fold: np.ndarray
) -> np.ndarray | None:
    """(R, n) bool calls, each fold judged at the thresholds fitted on the others.

    Args:
        y: (n,) bool.
        p: (n,) scores.
        rules: R of them.
        fold: (n,) the fold that held each row out.

    Returns:
        None where the rows outside some fold lack a class.
    """
    cuts = cuts_by_others(y, p, rules, fold)
    return None if np.isnan(cuts).any() else p > cuts


def cuts_by_others(
    y: np.ndarray, p: np.ndarray, rules: Sequence[FittedRule], fold: np.ndarray
) -> np.ndarray:
    """(R, n) thresholds, each fold's fitted on the others; NaN where those lack a class.

    Arguments as for `crossed`.
    """
    found = np.full((len(rules), len(y)), np.nan)
    for k in np.unique(fold):
        here = fold == k
        thresholds = _thresholds(y[~here], p[~here], rules)
        if None not in thresholds:
            found[:, here] = np.array(thresholds)[:, None]
    return found


def reached(y: np.ndarray, called: np.ndarray | None) -> dict[str, float | int | None]:
    """`achieved`, and on how many images, `n`, with how many `positives`."""
    return {**achieved(y, called), "n": len(y), "positives": int(y.sum())}


def achieved(y: np.ndarray, called: np.ndarray | None) -> dict[str, float | None]:
    """Sensitivity and specificity of (n,) bool calls; None without calls, or without a class."""
    if called is None or not 0 < y.sum() < len(y):
        return {"sensitivity": None, "specificity": None}
    return {"sensitivity": float(called[y].mean()), "specificity": float((~called[~y]).mean())}


def _mean_of_known(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
