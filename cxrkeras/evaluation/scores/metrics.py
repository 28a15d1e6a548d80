"""Scores of a multi-label classifier: per label, macro and micro; pooled, and over folds.

A label without a positive, or without a negative, has no AUROC and no average precision. It stands
in `undefined` by name and fold, and every mean says over how many labels or folds it went.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from cxrkeras.evaluation.scores.counted import counted, left_out
from cxrkeras.evaluation.scores.operating import achieved

SD = "sample standard deviation over folds (ddof=1)"
COUNTS = ("n", "positives")


def evaluate(
    truth: np.ndarray,
    prob: np.ndarray,
    labels: Sequence[str],
    *,
    fold: np.ndarray | None = None,
    thresholds: Mapping[str, np.ndarray] | None = None,
    decided: Collection[int] = (),
    ranks_only: bool = False,
) -> dict:
    """Score predictions against labels.

    Args:
        truth: (N, K) float; 1, 0, or NaN for unknown: such an entry counts nowhere.
        prob: (N, K) float, scores in [0, 1]; any finite numbers where `ranks_only`.
        labels: the K names, in column order.
        fold: (N,) ints, the fold that each row was held out in; None for one undivided set.
        thresholds: per rule an (N, K) array, since each row's threshold comes from the training
            part of its own fold. A label is positive if its score exceeds it; NaN = no threshold.
        decided: columns that hold 0/1 decisions (`decisions.decided`), which rank nothing: their
            AUROC and average precision, and the micro ones with them, are None.
        ranks_only: the scores are no probabilities: `binary_accuracy` and `mae` are None.

    Returns:
        A JSON-ready dict: `labels`, `images`, `folds`, `sd`, `per_label` {name: ...}, `macro`,
        `micro` and `undefined` [{label, fold, reason}]. Each of the scored parts has `pooled` and,
        with folds, `over_folds` {metric: {mean, sd, folds}} and `per_fold`. The metrics are `n`,
        `positives`, `prevalence` (also the average precision of a random classifier),
        `all_negative_accuracy`, `auroc`, `average_precision`, `binary_accuracy` (score > 0.5),
        `mae`, and for each rule `hamming_RULE`, `sensitivity_RULE` and `specificity_RULE`; None
        where undefined. Macro is the mean over the labels that have the metric, `labels` says how
        many; micro takes all known entries as one label. Both go without the labels in `left_out`
        (see `counted`), which is there only if there are such; `macro_all` is then the mean over
        all labels, these included.

    Raises:
        ValueError: shapes that disagree, scores outside [0, 1], truth other than 1, 0, NaN.

    Example:
        >>> import numpy as np
        >>> truth, prob = np.array([[1.0], [0.0], [np.nan]]), np.array([[0.9], [0.2], [0.5]])
        >>> mass = cxrkeras.scores.evaluate(truth, prob, ["Mass"])["per_label"]["Mass"]["pooled"]
        >>> mass["n"], mass["auroc"]
        (2, 1.0)
    """
    thresholds = {} if thresholds is None else dict(thresholds)
    _check(truth, prob, labels, thresholds, ranks_only)
    how = {"decided": frozenset(decided), "probabilities": not ranks_only}
    pooled = _score_part(truth, prob, labels, thresholds, **how)
    folds = [] if fold is None else [int(k) for k in np.unique(fold)]
    rows_of = {k: np.asarray(fold) == k for k in folds}
    parts = {}
    for k, rows in rows_of.items():
        cut = {rule: values[rows] for rule, values in thresholds.items()}
        parts[k] = _score_part(truth[rows], prob[rows], labels, cut, **how)
    groups = list(rows_of.values()) or [np.ones(len(truth), dtype=bool)]
    return {
        "labels": list(labels),
        "images": int(truth.shape[0]),
        "folds": folds,
        "sd": SD,
        "per_label": {
            name: {
                **_assemble(pooled, parts, name),
                "thresholds": {r: _spread(v[:, k], groups) for r, v in thresholds.items()},
            }
            for k, name in enumerate(labels)
        },
        "macro": _assemble(pooled, parts, _MACRO),
        "micro": _assemble(pooled, parts, _MICRO),
        "undefined": _undefined(pooled, parts, labels),
        **_with_all(pooled, parts, labels),
    }


def _with_all(pooled: dict, parts: dict[int, dict], labels: Sequence[str]) -> dict:
    """What means leave out, and the mean that doesn't; nothing where all labels count."""
    left = left_out(labels)
    return {"left_out": left, "macro_all": _assemble(pooled, parts, _ALL)} if left else {}


_MACRO, _MICRO, _ALL = 0, 1, 2  # keys beside the label names, which are text and so can't clash


def _score_part(truth, prob, labels, thresholds, *, decided, probabilities) -> dict:
    kind = {"probabilities": probabilities}
    scores = {
        name: score_label(
            truth[:, k],
            prob[:, k],
            {r: t[:, k] for r, t in thresholds.items()},
            ranked=k not in decided,
            **kind,
        )
        for k, name in enumerate(labels)
    }
    counts = np.flatnonzero(counted(labels))
    macro = _macro([scores[labels[k]] for k in counts])
    entries = {r: t[:, counts].ravel() for r, t in thresholds.items()}
    all_truth, all_prob = truth[:, counts].ravel(), prob[:, counts].ravel()
    ranked = not decided.intersection(counts.tolist())
    micro = score_label(all_truth, all_prob, entries, ranked=ranked, **kind)
    return {**scores, _MACRO: macro, _MICRO: micro, _ALL: _macro(list(scores.values()))}


def score_label(
    truth: np.ndarray,
    prob: np.ndarray,
    thresholds: Mapping[str, np.ndarray],
    *,
    ranked: bool = True,
    probabilities: bool = True,
) -> dict[str, float | int | None]:
    """Every metric of one label: (N,) truth with NaN = unknown, (N,) scores, (N,) per rule.

    What only a ranking has, or only probabilities have, is None where they aren't that.
    """
    known = np.isfinite(truth)
    y, p = truth[known] == 1, prob[known]
    n, positives = len(y), int(y.sum())
    prevalence = positives / n if n else None
    both = ranked and 0 < positives < n
    return {
        "n": n,
        "positives": positives,
        "prevalence": prevalence,
        "all_negative_accuracy": None if prevalence is None else 1 - prevalence,
        "auroc": float(roc_auc_score(y, p)) if both else None,
        "average_precision": float(average_precision_score(y, p)) if both else None,
        "binary_accuracy": _mean((p > 0.5) == y) if probabilities else None,
        "mae": _mean(np.abs(p - y)) if probabilities else None,
        **{f"hamming_{rule}": _hamming(y, p, cut[known]) for rule, cut in thresholds.items()},
        **{
            f"{name}_{rule}": share
            for rule, cut in thresholds.items()
            for name, share in _achieved(y, p, cut[known]).items()
        },
    }


def _hamming(y: np.ndarray, p: np.ndarray, cut: np.ndarray) -> float | None:
    usable = np.isfinite(cut)
    return _mean((p[usable] > cut[usable]) != y[usable])


def _achieved(y: np.ndarray, p: np.ndarray, cut: np.ndarray) -> dict[str, float | None]:
    usable = np.isfinite(cut)
    return achieved(y[usable], p[usable] > cut[usable])


def _mean(values: np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _macro(scores: list[dict]) -> dict:
    names = [name for name in scores[0] if name not in COUNTS]
    defined = {name: [s[name] for s in scores if s[name] is not None] for name in names}
    return {
        **{name: sum(s[name] for s in scores) for name in COUNTS},
        **{name: _mean(values) for name, values in defined.items()},
        "labels": {name: len(values) for name, values in defined.items()},
    }


def _assemble(pooled: dict, parts: dict[int, dict], key: str | int) -> dict:
    if not parts:
        return {"pooled": pooled[key]}
    per_fold = [{"fold": k, **part[key]} for k, part in parts.items()]
    names = [name for name in pooled[key] if name not in (*COUNTS, "labels")]
    return {
        "pooled": pooled[key],
        "over_folds": {name: _mean_sd([f[name] for f in per_fold]) for name in names},
        "per_fold": per_fold,
    }


def _mean_sd(values: list[float | None]) -> dict:
    known = np.array([v for v in values if v is not None])
    return {
        "mean": _mean(known),
        "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "folds": len(known),
    }


def _spread(values: np.ndarray, rows_of_folds: list[np.ndarray]) -> dict:
    """One threshold per fold (constant within it): mean and range over the folds that have one."""
    parts = [values[rows & np.isfinite(values)] for rows in rows_of_folds]
    known = [float(np.median(part)) for part in parts if len(part)]
    if not known:
        return {"mean": None, "min": None, "max": None}
    return {"mean": float(np.mean(known)), "min": min(known), "max": max(known)}


def _undefined(pooled: dict, parts: dict[int, dict], labels: Sequence[str]) -> list[dict]:
    found = []
    for fold, part in [(None, pooled), *parts.items()]:
        for name in labels:
            reasons = _reasons(part[name])
            found += [{"label": name, "fold": fold, "reason": reason} for reason in reasons]
    return found


def _reasons(score: dict) -> list[str]:
    n, positives = score["n"], score["positives"]
    if n == 0:
        return ["no known label"]
    reasons = ["no positive"] if positives == 0 else ["no negative"] if positives == n else []
    if any(name.startswith("hamming_") and value is None for name, value in score.items()):
        reasons.append("no threshold: the training part has one class only")
    return reasons


def _check(truth, prob, labels, thresholds, ranks_only) -> None:
    shape = np.shape(prob)
    if len(shape) != 2 or 0 in shape or shape[1] != len(labels) or np.shape(truth) != shape:
        raise ValueError(
            "truth and prob must be (N, K) with K labels, neither 0. "
            f"Received: truth {np.shape(truth)}, prob {shape}, {len(labels)} labels"
        )
    if len(set(labels)) != len(labels):
        raise ValueError(f"label names must differ. Received: {list(labels)}")
    for rule, values in thresholds.items():
        if np.shape(values) != shape:
            raise ValueError(f"thresholds[{rule!r}] must be {shape}. Received: {np.shape(values)}")
    if not np.all(np.isfinite(prob) if ranks_only else (prob >= 0) & (prob <= 1)):
        raise ValueError("prob must lie in [0, 1] without NaN")
    if not np.all(np.isnan(truth) | (truth == 0) | (truth == 1)):
        raise ValueError("truth must be 1, 0 or NaN")
