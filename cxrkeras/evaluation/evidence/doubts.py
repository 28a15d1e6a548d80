"""What must be said beside a number before anyone believes it, used wherever one is shown.

It covers operating points that are no better than chance, or positive far more or less often than
the finding occurs; AUROCs that can't be told from chance, or of few positives; predictions and
features that are the same for every image. The limits are given only here and in docs/science.md.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cxrkeras.evaluation.scores.shares import wilson_of

LEAST = 0.1
"""Sensitivity + specificity - 1 below which a point is no better than chance, however sure."""
FAR = 5
"""By what factor the share of positive calls may differ from the prevalence without a remark."""
CHANCE = 0.5
FEW = 10
"""Positives below which a ranking score is mostly luck."""
LEARNT = (
    "the model learnt from this image, unless it was held out as test: the answer looks better "
    "than on a new one"
)
LEARNT_BY_FOLDS = (
    "all but one of the models learnt from this image, so its answer looks better than on a new "
    "one; out of fold it stands in the run's predictions.csv"
)
UNMEASURED = (
    "It isn't known how these operating points do on images that the model hasn't seen: they may "
    "be no better than chance, or positive far more often than the finding occurs."
)
_SHARES = ("sensitivity", "specificity")
_ALIKE = 1e-6  # of their size: scores that differ by less are one score


class PointDoubt(NamedTuple):
    """What is to be said of one label's operating point; None where nothing is.

    Args:
        chance: (sensitivity, specificity) of one that can't be told from chance.
        calls: (share of positive decisions, prevalence), if these are far from each other.
    """

    chance: tuple[float, float] | None = None
    calls: tuple[float, float] | None = None

    def __str__(self) -> str:
        told = []
        if self.chance:
            told.append(
                "no better than chance, or too few positives to tell: "
                "sensitivity {:.3f}, specificity {:.3f}"
            )
        if self.calls:
            told.append("positive in {:.1%} of images, labelled in {:.1%}")
        return "; ".join(told).format(*(self.chance or ()), *(self.calls or ()))


def reached_by(point: Mapping) -> Mapping:
    """What a point achieves on images that it wasn't fitted on: held out, else out of fold.

    Empty if unknown. A test set that lacks a class says nothing, so the folds count instead.
    """
    parts = (point.get(name) or {} for name in ("held_out", "cross_fitted"))
    return next((part for part in parts if None not in map(part.get, _SHARES)), {})


def point_doubt(point: Mapping, prevalence: float | None = None) -> PointDoubt:
    """Judge one operating point by what it achieves on images that it wasn't fitted on.

    It is no better than chance where sensitivity + specificity - 1 (Youden's J) is below `LEAST`,
    or its 95% interval (Newcombe 1998, method 10, images taken for independent) holds 0.

    Args:
        point: see `evaluation.scores.operating`.
        prevalence: of the finding; used where the point doesn't say on how many images it is known.
    """
    seen = reached_by(point)
    if not seen:
        return PointDoubt()
    sensitivity, specificity = (seen[name] for name in _SHARES)
    counted = seen if seen.get("n") else point  # earlier versions counted at the point alone
    n, positives = (counted.get(name) or 0 for name in ("n", "positives"))
    both = 0 < positives < n  # or they aren't the images that these two shares are of
    informed = sensitivity + specificity - 1
    least = _lowest_informed(sensitivity, specificity, n, positives) if both else informed
    share = positives / n if both else prevalence
    return PointDoubt(
        (sensitivity, specificity) if informed < LEAST or least <= 0 else None,
        _calls(sensitivity, specificity, share),
    )


def _calls(sensitivity: float, specificity: float, share: float | None):
    if not share:
        return None
    rate = sensitivity * share + (1 - specificity) * (1 - share)
    return None if share / FAR <= rate <= share * FAR else (rate, share)


def _lowest_informed(sensitivity: float, specificity: float, n: int, positives: int) -> float:
    """The lower end of the interval of sensitivity - (1 - specificity)."""
    fall = sensitivity - wilson_of(sensitivity, positives)[0]
    rise = wilson_of(1 - specificity, n - positives)[1] - (1 - specificity)
    return sensitivity + specificity - 1 - float(np.hypot(fall, rise))


def points_in_words(
    points: Mapping[str, Mapping], prevalence: Mapping[str, float | None] | None = None
) -> list[str]:
    """At most two sentences on one rule's operating points {label: point}; see `point_doubt`.

    Thresholds whose performance is unknown give `UNMEASURED`.

    Args:
        points: by label.
        prevalence: by label, see `point_doubt`.
    """
    applied = [point for point in points.values() if point.get("threshold") is not None]
    if applied and not any(map(reached_by, applied)):
        return [UNMEASURED]
    known = prevalence or {}
    found = {name: point_doubt(point, known.get(name)) for name, point in points.items()}
    chance = [
        "{} {:.3f} + {:.3f}".format(name, *doubt.chance)
        for name, doubt in found.items()
        if doubt.chance
    ]
    calls = [
        "{} {:.1%} for {:.1%}".format(name, *doubt.calls)
        for name, doubt in found.items()
        if doubt.calls
    ]
    heads = {
        "No better than chance, or too few positives to tell (sensitivity + specificity; by chance "
        "1)": chance,
        "Positive far more or less often than labelled, in % of images": calls,
    }
    return [f"{head}: {', '.join(each)}." for head, each in heads.items() if each]


class ScoreDoubts(NamedTuple):
    """What is to be said of a classifier's AUROCs.

    Args:
        macro: of the macro mean, "" where nothing is.
        labels: {label: AUROC} of those that can't be told from chance.
        constant: {label: folds}: in these the label's score is the same for every image.
    """

    macro: str
    labels: dict[str, float]
    constant: dict[str, list[str]]

    @property
    def sentences(self) -> list[str]:
        """At most three, most serious first."""
        told = []
        if self.constant:
            each = [f"{name}{_folds(folds)}" for name, folds in self.constant.items()]
            told.append(f"The same score for every image, which says nothing: {', '.join(each)}.")
        if self.macro:
            told.append(f"The macro AUROC can't be told from chance: {self.macro}.")
        if self.labels:
            each = [f"{name} ({value:.3f})" for name, value in self.labels.items()]
            told.append(f"AUROCs that can't be told from chance (0.5): {', '.join(each)}.")
        return told


def score_doubts(
    macro: Mapping, per_label: Mapping[str, Mapping], constant: Sequence[Mapping] = ()
) -> ScoreDoubts:
    """Which AUROCs can't be told from chance: their interval holds 0.5.

    Args:
        macro: {`value`, `low`, `high`}; None where undefined.
        per_label: {label: the same}.
        constant: from `constant_predictions`.
    """
    span = ""
    if _at_chance(macro):
        span = f"{macro['value']:.3f} ({macro['low']:.3f} to {macro['high']:.3f})"
    labels = {name: part["value"] for name, part in per_label.items() if _at_chance(part)}
    folds: dict[str, list[str]] = {}
    for one in constant:
        folds.setdefault(one["label"], []).append(str(one["fold"]))
    return ScoreDoubts(span, labels, folds)


def doubts_of_performance(found: Mapping) -> ScoreDoubts:
    """Of an `evaluation.evidence.performance`, or a run of `evaluation.compare.compare`."""
    macro = found.get("macro", found)
    per_label = {name: part["auroc"] for name, part in found["per_label"].items()}
    return score_doubts(macro["auroc"], per_label, found.get("constant_predictions", ()))


def doubts_of_scores(scores: Mapping) -> ScoreDoubts:
    """Of a `metrics.json`, or of its part on the test set; of one without intervals, none."""
    per_label = {name: _part(part["pooled"]) for name, part in scores["per_label"].items()}
    constant = scores.get("constant_predictions", ())
    return score_doubts(_part(scores["macro"]["pooled"]), per_label, constant)


def few_positives(counts: Mapping[str, int]) -> list[str]:
    """A sentence on {label: positives} below `FEW`; without any there is no score to doubt."""
    few = [f"{name} ({n})" for name, n in counts.items() if 0 < n < FEW]
    if not few:
        return []
    return [f"Fewer than {FEW} positives in all: {', '.join(few)}. Their scores are mostly luck."]


def constant_predictions(
    prob: np.ndarray, labels: Sequence[str], folds: Sequence[str]
) -> list[dict[str, str]]:
    """[{`label`, `fold`}] where all of two or more images of a fold have one score.

    The fold is "" where there is but one: an undivided set.

    Args:
        prob: (N, K) scores.
        labels: K names.
        folds: N names.
    """
    folds = np.asarray(folds)
    names = np.unique(folds)
    return [
        {"label": label, "fold": str(fold) if len(names) > 1 else ""}
        for k, label in enumerate(labels)
        for fold in names
        if (folds == fold).sum() > 1 and _alike(prob[folds == fold, k])
    ]


def _alike(scores: np.ndarray) -> bool:
    """By their size: a rare label's scores may all be tiny, and any real scores are ranked."""
    return bool(np.ptp(scores) <= _ALIKE * np.abs(scores).max())


def constant_features(by_fold: Mapping[str, Mapping]) -> list[str]:
    """A sentence where most of a frozen trunk's features are the same for every image.

    Args:
        by_fold: {fold: {`all`, `constant`}}.
    """
    dead = {fold: c for fold, c in by_fold.items() if c["constant"] > c["all"] / 2}
    if not dead:
        return []
    each = ", ".join(f"{c['constant']:,} of {c['all']:,} in fold {k}" for k, c in dead.items())
    return [f"The frozen trunk gives the same features for every image: {each} are constant."]


def _part(pooled: Mapping) -> dict:
    bounds = pooled.get("auroc_interval") or {"low": None, "high": None}
    return {"value": pooled["auroc"], **bounds}


def _at_chance(part: Mapping) -> bool:
    known = None not in (part["value"], part["low"], part["high"])  # a model.json may lack one
    return known and part["low"] <= CHANCE <= part["high"]


def _folds(folds: Sequence[str]) -> str:
    numbers = [fold for fold in folds if fold.isdecimal()]
    if not numbers:
        return ""
    return f" (fold{'' if len(numbers) == 1 else 's'} {', '.join(numbers)})"
