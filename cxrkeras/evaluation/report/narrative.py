"""A run in words: title, result in one sentence, how it was made, and what to beware of."""

from collections.abc import Mapping

from cxrkeras.evaluation.compare.verdict import percent
from cxrkeras.evaluation.evidence.doubts import (
    constant_features,
    doubts_of_scores,
    few_positives,
    point_doubt,
    points_in_words,
)
from cxrkeras.evaluation.scores.decisions import headline
from cxrkeras.registry import (
    AVERAGES,
    HEADS,
    LOSSES,
    OPTIMIZERS,
    RECIPES,
    TRANSFORMS,
    VIEWS,
    in_words,
)
from data_prep.errors import UserError

NAMES = {
    "data": "Target data",
    "method": "Method",
    "preset": "Preset",
    "recipe": "Recipe",
    "backbone": "Backbone",
    "source": "Knowledge from",
    "features": "Maps that are pooled",
    "source_rows": "Films that teach the head too",
    "loss": "Loss",
    "augment": "Augmentation",
    "image_size": "Image size in pixels",
    "views": "Seen of an image",
    "learning_rate": "Learning rate",
    "optimizer": "Optimiser",
    "average": "Average of weights",
    "precision": "Learnt in",
    "devices": "Devices sharing a batch",
    "fast": "Fast kernels, not repeatable to the byte",
    "seeds": "Trainings, each with a seed of its own",
    "shuffle_labels": "Training labels shuffled",
}
WORDS = {
    "regular": "regular: each stage initialises the next",
    "mixed": "mixed: trunks of several sources side by side",
    "cotrain": "cotrain: one trunk trained on all sources together",
}
_PARTS = {
    "recipe": RECIPES,
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "average": AVERAGES,
    "head": HEADS,
    "transform": TRANSFORMS,
    "views": VIEWS,
}


def title(experiment: Mapping, metrics: Mapping) -> str:
    """The report's heading."""
    if metrics["kind"] == "evaluate":
        return "Predictions against labels"
    if "backbone" in _unused(experiment):
        return f"Cross-validation of {RECIPES.name_of(experiment['recipe'])}"
    backbone = " + ".join(_list(experiment.get("backbone", []))) or "a classifier"
    if experiment.get("method") and experiment.get("source"):
        return f"{str(experiment['method']).capitalize()} transfer with {backbone}"
    return f"Cross-validation of {backbone}"


def sentence(metrics: Mapping) -> str:
    """The result: the macro AUROC, what it covers, and how far the folds differ."""
    macro, labels = metrics["macro"], metrics["labels"]
    pooled = macro["pooled"]["auroc"]
    size = f"{_count(metrics['images'], 'image')}" + (
        f" of {_count(metrics['patients'], 'patient')}" if metrics["patients"] else ""
    )
    folds = len(metrics["folds"])
    where = f"{size} in {_count(folds, 'fold')}" if folds else size
    decisions = metrics.get("decisions")
    if pooled is None and decisions:
        return f"{headline(decisions)}; {where}."
    if pooled is None:
        return f"No AUROC: no label has both a positive and a negative; {where}."
    defined = macro["pooled"]["labels"]["auroc"]
    over = _count(defined, "label")
    over = over if defined == len(labels) else f"{defined} of {_count(len(labels), 'label')}"
    over += "".join(f", without {name}" for name in metrics.get("left_out", ()))
    kind = "Pooled out-of-fold macro AUROC" if folds else "Macro AUROC"
    over_all = f"; {whole}" if (whole := over_all_labels(metrics)) else ""
    return f"{kind} {pooled:.3f} over {over}{_interval(metrics)}{over_all}; {where}."


def over_all_labels(metrics: Mapping) -> str:
    """The mean over all labels where the macro AUROC leaves some out; "" elsewhere."""
    if metrics.get("macro_all", {}).get("pooled", {}).get("auroc") is None:
        return ""
    pooled, left = metrics["macro_all"]["pooled"], ", ".join(metrics["left_out"])
    return f"with {left} {pooled['auroc']:.3f}{_interval(metrics, 'macro_all')}"


def _interval(metrics: Mapping, mean: str = "macro") -> str:
    """A mean AUROC's interval in brackets; nothing for a `metrics.json` without."""
    bounds = metrics[mean]["pooled"].get("auroc_interval")
    if bounds is None:
        return ""
    level = percent(metrics["intervals"]["level"])
    return f" ({level} interval {bounds['low']:.3f} to {bounds['high']:.3f})"


def facts(experiment: Mapping) -> list[tuple[str, str]]:
    """(name, value) of every setting, the known ones first and in plain words."""
    left_out = _unused(experiment)
    keys = [k for k in NAMES if k in experiment] + [k for k in experiment if k not in NAMES]
    named = [
        (NAMES.get(k, k.replace("_", " ").capitalize()), _words(experiment[k], k))
        for k in keys
        if k not in left_out
    ]
    return [(name, value) for name, value in named if value]


def _unused(experiment: Mapping) -> tuple[str, ...]:
    """The settings that its recipe doesn't use; none for a recipe that isn't installed."""
    try:
        return RECIPES.make(experiment["recipe"]).unused
    except (KeyError, UserError):
        return ()


def environment_facts(environment: Mapping) -> list[tuple[str, str]]:
    """(name, value) of the environment, nested parts on one line each.

    Without the notes of who fitted when: a run that was killed ends with the same report.
    """
    return [
        (key.replace("_", " ").capitalize(), _words(value))
        for key, value in environment.items()
        if key not in ("starts", "finished") and _words(value)
    ]


def warnings(metrics: Mapping, *, shuffled: bool = False) -> list[str]:
    """What a reader must know before believing a number, most serious first.

    Args:
        metrics: a `metrics.json`.
        shuffled: whether it is a leak test, which must not be told from chance.
    """
    return [
        *_audit_warnings(metrics.get("audit")),
        *_learnt_from(metrics),
        *_unknown_patients(metrics),
        *_no_ranking(metrics.get("decisions")),
        *constant_features(metrics.get("features") or {}),
        *([] if shuffled else _at_chance(metrics)),
        *_few(metrics),
        *_undefined(metrics["undefined"], "out of fold" if metrics["folds"] else ""),
        *_undefined((metrics.get("test") or {}).get("undefined", []), "in the test set"),
        *_weak_accuracy(metrics),
    ]


def _at_chance(metrics: Mapping) -> list[str]:
    test = metrics.get("test")
    tested = doubts_of_scores(test).sentences if test else []
    own = doubts_of_scores(metrics).sentences
    return [*own, *_points(metrics), *(f"Test set: {said}" for said in tested)]


def _points(metrics: Mapping) -> list[str]:
    """Of the default rule by label; of the study's, where it calls otherwise, in how many."""
    known = "hamming_corrected" in metrics["micro"]["pooled"] or metrics.get("ranks_only")
    first = "corrected" if known else "prevalence"
    default, studys = (_reached(metrics, rule) for rule in (first, "prevalence"))
    decided = {name: default.pop(name) for name in metrics.get("decisions") or ()}
    studys = {name: studys[name] for name in default}
    told = [f"{first.capitalize()} rule. {said}" for said in points_in_words(default)]
    told += [f"0/1 decisions. {said}" for said in points_in_words(decided)]
    doubted = sum(any(point_doubt(point)) for point in studys.values())
    if doubted and studys != default:
        told.append(
            "Prevalence rule. No better than chance, too few positives to tell, or positive far "
            f"more or less often than labelled: {doubted} of {_count(len(studys), 'label')}; see "
            "the operating points."
        )
    return told


def _reached(metrics: Mapping, rule: str) -> dict[str, dict]:
    names = ("sensitivity", "specificity")
    parts = {label: part["pooled"] for label, part in metrics["per_label"].items()}
    return {
        label: {
            "n": part["n"],
            "positives": part["positives"],
            "cross_fitted": {name: part.get(f"{name}_{rule}") for name in names},
        }
        for label, part in parts.items()
    }


def _audit_warnings(audit: Mapping | None) -> list[str]:
    if audit is None:
        return []
    found = []
    if audit["patients_in_several_folds"]:
        patients = _count(audit["patients_in_several_folds"], "patient")
        found.append(f"{patients} in more than one fold: the scores are too good to be true.")
    if audit["images_without_patient"]:
        images = _count(audit["images_without_patient"], "image")
        found.append(f"{images} without a patient: they may share one with another fold.")
    if apart := audit.get("linked_patients", {}).get("apart"):
        found.append(
            f"{apart} patient numbers share a copy of a film with another number and were kept "
            "apart: one person may be in two folds."
        )
    if audit["images_not_predicted"]:
        images = _count(audit["images_not_predicted"], "image")
        found.append(f"{images} in the folds have no prediction.")
    return found


def _unknown_patients(metrics: Mapping) -> list[str]:
    """Of an evaluation; a run's folds are audited for that."""
    made = metrics.get("intervals")
    if metrics["kind"] != "evaluate" or made is None or made["units"] == made["patients"]:
        return []
    if not made["patients"]:
        return [
            "Patients unknown: every image counts as a patient of its own, so the intervals are "
            "too narrow if a patient has several (--patient-column names the column)."
        ]
    images = _count(made["units"] - made["patients"], "image")
    return [f"{images} without a patient: each counts as a patient of its own."]


def _learnt_from(metrics: Mapping) -> list[str]:
    """Of an evaluation of `cxrkeras predict`'s own table."""
    learnt = (metrics.get("about") or {}).get("learnt")
    if not learnt:
        return []
    return [
        f"The model learnt from {learnt:,} of the {_count(metrics['images'], 'image')}: the "
        "scores are too good to be true. Its run's report shows how it does on new images."
    ]


def _no_ranking(decisions: Mapping | None) -> list[str]:
    if not decisions:
        return []
    return [
        f"0/1 decisions, no scores: {', '.join(decisions)}. They have sensitivity and "
        "specificity; AUROC and average precision would be misleading and aren't given."
    ]


def _few(metrics: Mapping) -> list[str]:
    counts = {name: part["pooled"]["positives"] for name, part in metrics["per_label"].items()}
    return few_positives(counts)


def _undefined(entries: list[Mapping], where: str) -> list[str]:
    """One sentence per reason and label, with its folds; what holds overall isn't repeated."""
    overall = {(e["label"], e["reason"]) for e in entries if e["fold"] is None}
    found = [f"{name}: {' '.join((reason, where)).strip()}." for name, reason in sorted(overall)]
    by_fold: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        key = entry["label"], entry["reason"]
        if entry["fold"] is not None and key not in overall:
            by_fold.setdefault(key, []).append(str(entry["fold"]))
    for (name, reason), folds in by_fold.items():
        word = "fold" if len(folds) == 1 else "folds"
        found.append(f"{name}: {reason} in {word} {', '.join(folds)}; its means leave that out.")
    return found


def _weak_accuracy(metrics: Mapping) -> list[str]:
    micro = metrics["micro"]["pooled"]
    accuracy, trivial = micro["binary_accuracy"], micro["all_negative_accuracy"]
    if accuracy is None or accuracy > trivial:
        return []
    return [
        f"Binary accuracy ({accuracy:.1%}) is no better than that of a model that never finds "
        f"anything ({trivial:.1%})."
    ]


def _words(value: object, key: str = "") -> str:
    if key in _PARTS and isinstance(value, str):
        return in_words(_PARTS[key], value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_words(part) for part in value)
    if isinstance(value, float):
        return f"{value:g}"
    return (
        WORDS.get(value, value) if isinstance(value, str) else "" if value is None else str(value)
    )


def _list(value: object) -> list[str]:
    return [str(part) for part in value] if isinstance(value, list | tuple) else [str(value)]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
