"""Operating points: from prevalence, or fitted on predictions whose truth is known.

One rule holds everywhere: a label is called when its score *exceeds* the threshold. A threshold
that was fitted stands midway between the lowest score that it calls and the highest that it
doesn't, so that rounding elsewhere (a served model's last bit) calls the same images.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cxrkeras.data.distortion import Distortion, by_row
from cxrkeras.evaluation.scores.thresholds import RULES, by_rule
from data_prep.errors import UserError

FITTED = ("youden", "sensitivity", "specificity")
BELOW_ALL = -1e-6  # calls a score of 0 too; a denormal number would be flushed to 0 elsewhere


@dataclass(frozen=True)
class Rule:
    """How a threshold is chosen.

    Args:
        name: `prevalence`, `corrected`, `youden`, `sensitivity` or `specificity`.
        wanted: the sensitivity or specificity to reach, in (0, 1]; None for the other rules.
    """

    name: str
    wanted: float | None = None

    def __str__(self) -> str:
        return self.name if self.wanted is None else f"{self.name}={self.wanted!r}"

    @property
    def fitted(self) -> bool:
        """Whether it takes predictions with their truth."""
        return self.name in FITTED


STANDARD = (
    Rule("youden"),
    *(Rule("sensitivity", wanted) for wanted in (0.8, 0.9, 0.95, 0.99)),
    *(Rule("specificity", wanted) for wanted in (0.8, 0.9, 0.95, 0.99)),
)
"""The fitted rules that every run and every final model has."""

_HOW = (
    "one of youden, prevalence, corrected, sensitivity=0.95, specificity=0.9 (any share above 0, "
    "up to 1)"
)


def parse_rule(text: str) -> Rule:
    """Read a rule as the command line has it, e.g. `youden` or `sensitivity=0.95`.

    Raises:
        UserError: for a name that is no rule, or a share outside (0, 1].
    """
    name, equals, number = text.strip().partition("=")
    if not equals and (name == "youden" or name in RULES):
        return Rule(name)
    if equals and name in ("sensitivity", "specificity"):
        try:
            wanted = float(number)
        except ValueError:
            wanted = math.nan
        if 0 < wanted <= 1:
            return Rule(name, wanted)
    raise UserError(f"An operating point is {_HOW}. Received: {text!r}.")


def fit_points(
    labels: Sequence[str],
    truth: np.ndarray,
    score: np.ndarray,
    rules: Sequence[Rule],
    *,
    fold: np.ndarray | None = None,
    where: str = "predictions",
) -> dict[str, dict[str, dict]]:
    """Operating points per rule and label, fitted on scores whose truth is known.

    `youden` maximises sensitivity + specificity - 1 (Youden 1950); of several maxima it takes the
    highest threshold, as the argmax of scikit-learn's `roc_curve` does. `sensitivity` takes the
    fewest calls that reach it, `specificity` the most calls that keep it.

    Args:
        labels: K names.
        truth: (N, K) float; 1, 0, or NaN for unknown: such an entry counts nowhere.
        score: (N, K) float in [0, 1].
        rules: fitted ones.
        fold: (N,) the fold that held each row out; then `cross_fitted` says what sensitivity and
            specificity come out where each fold is called at the threshold fitted on the others.
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
    labels: Sequence[str], prevalence: np.ndarray, distortions: Sequence[Distortion | None]
) -> dict[str, dict[str, dict]]:
    """The rules that need no predictions, of one model or the mean over several.

    Args:
        labels: K names.
        prevalence: (M, K) of M models' training parts; NaN where not known.
        distortions: of their losses.

    Returns:
        {`prevalence` and, where all distortions are known, `corrected`: {label: {`threshold` or
        None, `from`}}}.
    """
    distortion = by_row(distortions, np.arange(len(distortions)))
    return {
        rule: {
            name: _from_prevalence(rule, _mean_of_known(thresholds[:, k]))
            for k, name in enumerate(labels)
        }
        for rule, thresholds in by_rule(prevalence, distortion).items()
    }


_ORIGINS = {
    "prevalence": "training prevalence",
    "corrected": "training prevalence, the loss's inflation undone",
}


def _from_prevalence(rule: str, threshold: float | None) -> dict:
    unknown = "training prevalence isn't known, or is 0 or 1"
    return {"threshold": threshold, "from": unknown if threshold is None else _ORIGINS[rule]}


def add_held_out(
    points: Mapping[str, Mapping[str, dict]],
    labels: Sequence[str],
    truth: np.ndarray,
    score: np.ndarray,
) -> None:
    """Put into each point what it reaches on images that nothing was fitted on.

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
    """(K,) float64 thresholds of {label: point}, NaN where there is none."""
    return np.array([points[name]["threshold"] for name in labels], dtype=np.float64)


def _fit_label(
    truth: np.ndarray,
    score: np.ndarray,
    rules: Sequence[Rule],
    fold: np.ndarray | None,
    where: str,
) -> dict[Rule, dict]:
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


def _origin(rule: Rule, y: np.ndarray, where: str) -> str:
    name = "Youden" if rule.name == "youden" else f"{rule.name} {rule.wanted:g}"
    n, positives = len(y), int(y.sum())
    text = f"{name} on {n:,} {where}"
    if not 0 < positives < n:
        return f"{text}: no {'negative' if positives else 'positive'} among them"
    return f"{text}, {positives:,} positive"


def _thresholds(y: np.ndarray, p: np.ndarray, rules: Sequence[Rule]) -> list[float | None]:
    if not 0 < y.sum() < len(y):
        return [None] * len(rules)
    levels, called, false = _steps(y, p)
    sensitivity, specificity = called / called[-1], (false[-1] - false) / false[-1]
    youden = int(np.argmax(sensitivity - false / false[-1]))
    steps = {
        "youden": lambda _: youden,
        "sensitivity": lambda wanted: int(np.argmax(sensitivity >= wanted)),
        "specificity": lambda wanted: int(np.flatnonzero(specificity >= wanted)[-1]),
    }
    return [_between(levels, steps[rule.name](rule.wanted)) for rule in rules]


def _steps(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The L distinct scores, falling; and (L + 1,) true and false calls if the first 0..L count."""
    levels, index = np.unique(-p, return_inverse=True)
    counts = [np.bincount(index, weights=part, minlength=len(levels)) for part in (y, ~y)]
    called, false = (np.concatenate([[0.0], np.cumsum(part)]) for part in counts)
    return -levels, called, false


def _between(levels: np.ndarray, step: int) -> float:
    """A threshold that calls the first `step` levels and no other."""
    if step == len(levels) and levels[-1] == 0:
        return BELOW_ALL
    high = 1.0 if step == 0 else float(levels[step - 1])
    low = 0.0 if step == len(levels) else float(levels[step])
    middle = low + (high - low) / 2
    return middle if middle < high else low


def _cross_fitted(
    y: np.ndarray, p: np.ndarray, rules: Sequence[Rule], fold: np.ndarray | None
) -> dict[Rule, dict | None]:
    if fold is None:
        return dict.fromkeys(rules)
    called = np.zeros((len(rules), len(y)), bool)
    for k in np.unique(fold):
        here = fold == k
        thresholds = _thresholds(y[~here], p[~here], rules)
        if None in thresholds:
            return dict.fromkeys(rules)
        called[:, here] = p[here] > np.array(thresholds)[:, None]
    return {rule: reached(y, calls) for rule, calls in zip(rules, called, strict=True)}


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
