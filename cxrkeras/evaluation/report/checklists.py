"""TRIPOD+AI and CLAIM, filled in as far as a run knows; the rest is the author's."""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Formatter

from cxrkeras import __version__
from cxrkeras.evaluation.evidence.trainings import in_words as seeds_in_words
from cxrkeras.evaluation.journal.cohort import WHOLE
from cxrkeras.evaluation.journal.cohort import in_words as cohort_in_words
from cxrkeras.evaluation.report import narrative
from cxrkeras.registry import RECIPES
from data_prep.errors import UserError

_PACKAGES = ("tensorflow", "jax", "torch", "keras", "numpy", "scikit-learn", "pandas", "python")


def checklists(facts: Mapping[str, str]) -> list[dict]:
    """Both lists with their answers.

    Args:
        facts: by name, as `known_facts` gives them; one that is missing or empty isn't known.

    Returns:
        [{`name`, `source`, `answered` (how many items the run says something to), `items`
        [{`number`, `part`, `asks`, `answer`, `yours`}]}]; the last two may be "".
    """
    return [
        {**one, "items": items, "answered": sum(bool(item["answer"]) for item in items)}
        for one in _lists()
        for items in [[_answered(item, facts) for item in one["item"]]]
    ]


@cache
def _lists() -> list[dict]:
    folder = files(__package__) / "items"
    return [
        tomllib.loads((folder / name).read_text("utf-8"))
        for name in ("tripod_ai.toml", "claim.toml")
    ]


def needed(answer: str) -> list[str]:
    """The names of facts that an answer holds."""
    return [name for _, name, _, _ in Formatter().parse(answer) if name]


def _answered(item: Mapping, facts: Mapping[str, str]) -> dict:
    answer = item.get("answer", "")
    known = all(facts.get(name) for name in needed(answer))
    yours = item.get("yours", "") if known else item.get("yours", "All of it.")
    return {
        **{name: item[name] for name in ("number", "part", "asks")},
        "answer": answer.format_map(facts) if known else "",
        "yours": yours,
    }


def known_facts(
    metrics: Mapping,
    figures: Mapping,
    *,
    experiment: Mapping,
    environment: Mapping,
    run: str,
    calibration: Mapping | None,
    shortcuts: Iterable[str],
    samples: bool,
) -> dict[str, str]:
    """What a run says of itself, in words, by name; "" where it doesn't.

    Args:
        metrics: its `metrics.json`.
        figures: see `journal.figures`.
        experiment: its `experiment.toml`; empty for an evaluation.
        environment: its `environment.json`.
        run: its name.
        calibration: mean `calibration_scores` of its `operating_points.json`; None without.
        shortcuts: names of the shortcut baselines that were run.
        samples: whether the page shows films.
    """
    of_run = _of_run(metrics, experiment, environment, run) if experiment else {}
    return {
        **_of_data(metrics, figures),
        **_of_scores(metrics, figures, calibration, list(shortcuts)),
        **of_run,
        "version": environment.get("cxrkeras") or __version__,
        "samples": "The most extreme misses and false alarms, chosen by rule, are on this page."
        if samples
        else "",
    }


def _of_data(metrics: Mapping, figures: Mapping) -> dict[str, str]:
    whole, names = figures["cohort"][WHOLE], metrics["labels"]
    folds = len(metrics["folds"])
    labels = whole["labels"].items()
    unknown = sum(whole["images"] - part["known"] for _, part in labels)
    entries = whole["images"] * len(names)
    positives = [f"{name} {part['positives']:,} of {part['known']:,}" for name, part in labels]
    persons = f" of {whole['patients']:,} patients" if whole["patients"] else ""
    return {
        "kind": "Development with internal validation" if folds else "Evaluation",
        "labels": f"{len(names)} findings" if len(names) > 1 else names[0],
        "size_of_study": f"{whole['images']:,} films{persons}",
        "prevalences": ", ".join(positives),
        "missing": f"{unknown:,} of {entries:,} label entries aren't known and count in no score.",
        "views": _listed(whole["views"]),
        "who": f"{cohort_in_words(whole)}.",
        "by_fold": "By fold: see the cohort table, which has films, patients and positives of each."
        if folds
        else "",
    }


def _listed(counts: Mapping | None) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in (counts or {}).items())


def _of_scores(
    metrics: Mapping, figures: Mapping, calibration: Mapping | None, shortcuts: list[str]
) -> dict[str, str]:
    folds, macro = metrics["folds"], metrics["macro"]
    groups = figures["groups"]
    gaps = [group["detectable"] for group in groups if group["detectable"] is not None]
    over = (macro.get("over_folds") or {}).get("auroc") or {}
    seeds = f"{seeds_in_words(metrics['seeds'])}." if metrics.get("seeds") else ""
    baselines = f"Baselines that see no lungs: {', '.join(shortcuts)}." if shortcuts else ""
    rules = ", ".join(figures["operating_points"])
    fold_spread = (
        f"Macro AUROC over folds {over['mean']:.3f} ± {over['sd']:.3f}." if over.get("sd") else ""
    )
    measured = ["AUROC and average precision by label, macro and micro"]
    measured += ["sensitivity, specificity, predictive values"] if rules else []
    if figures["calibration"]:
        measured += ["Brier score, calibration error and curves", "decision curves"]
    return {
        "result": narrative.sentence(metrics),
        "groups": ", ".join(dict.fromkeys(group["what"] for group in groups)),
        "gap": f"Between groups these data could show gaps in macro AUROC from "
        f"{min(gaps):.2f} to {max(gaps):.2f} (power {figures['power']:.0%})."
        if gaps
        else "",
        "spread": " ".join(part for part in (fold_spread, seeds) if part),
        "robust": " ".join(part for part in (seeds, baselines) if part),
        "measures": ", ".join(measured),
        "rules": f"Operating points: {rules}" if rules else "",
        "outputs": "Scores, of which only the order counts"
        if metrics.get("ranks_only")
        else "A probability for each finding",
        "uncertainty": f"95% intervals by {figures['drawn']}",
        "calibrating": _calibrating(calibration),
        "recalibrated": _recalibrated(calibration),
        "predicted_by": "Each film by the one model that hadn't seen its patient's fold"
        if folds
        else "",
        "limits": " ".join(narrative.warnings(metrics)),
    }


def _calibrating(calibration: Mapping | None) -> str:
    if not calibration:
        return ""
    return (
        "What the loss is known to do to odds is undone in closed form; a temperature and a bias "
        "by label are fitted out of fold."
    )


def _recalibrated(calibration: Mapping | None) -> str:
    if not calibration:
        return ""
    names = {"raw": "as they are", "undistorted": "adjusted", "temperature": "calibrated"}
    told = [f"{words} {calibration[kind]['brier']:.4f}" for kind, words in names.items()]
    return f"Mean Brier score of the probabilities: {', '.join(told)}, each fold by the others."


def _of_run(
    metrics: Mapping, experiment: Mapping, environment: Mapping, run: str
) -> dict[str, str]:
    settings = dict(narrative.facts(experiment))

    def told(*names: str) -> str:
        """Settings as the report has them, by their names there."""
        found = [narrative.NAMES.get(name, name) for name in names]
        return "; ".join(f"{name.lower()} {settings[name]}" for name in found if settings.get(name))

    size = (
        f"{experiment['image_size']} x {experiment['image_size']} px"
        if "image_size" in experiment
        else ""
    )
    disjoint = _disjoint(metrics.get("audit"))
    network = "backbone" not in _unused(experiment)
    chains = [str(chain).split(",") for chain in experiment.get("source") or ()]
    start = ", ".join(" then ".join(Path(link.split("=")[-1]).name for link in c) for c in chains)
    several = int(experiment.get("seeds") or 1)
    return {
        "run": run,
        "data": Path(str(experiment["data"])).name if experiment.get("data") else "",
        "size": size,
        "preparation": f"Grey, one square of {size}" if size else "",
        "inputs": f"Inputs: {', '.join(experiment['inputs'])}" if experiment.get("inputs") else "",
        "model": told("backbone", "head", "recipe", "method"),
        "technology": f"Deep learning; {told('backbone', 'recipe')}" if network else "",
        "training": told("loss", "optimizer", "learning_rate", "epochs", "batch_size", "dropout"),
        "loss": str(experiment.get("loss") or ""),
        "augment": str(experiment.get("augment") or "none, or the recipe's own"),
        "uncertain": _uncertain(experiment),
        "partitions": _partitions(metrics, experiment),
        "disjoint": disjoint,
        "start": f"From {start}" if start else "Random" if experiment.get("random_trunk") else "",
        "software": ", ".join(f"{p} {environment[p]}" for p in _PACKAGES if environment.get(p)),
        "ensemble": f"{several} trainings of each fold, whose mean answers"
        if several > 1
        else "One model for each fold; a film is scored by one. The run as a whole answers by the "
        "mean of its folds' models",
    }


def _unused(experiment: Mapping) -> tuple[str, ...]:
    try:
        return RECIPES.make(experiment["recipe"]).unused
    except (KeyError, UserError):
        return ("backbone",)


def _disjoint(audit: Mapping | None) -> str:
    if audit is None:
        return ""
    if shared := audit["patients_in_several_folds"]:
        return f"{shared:,} patients are in more than one fold."
    lacking = audit["images_without_patient"]
    rest = f", but {lacking:,} films have no patient" if lacking else ""
    return f"By patient: no patient is in two folds (checked){rest}."


def _partitions(metrics: Mapping, experiment: Mapping) -> str:
    test = metrics.get("test")
    held = f", and a test set of {test['images']:,} films that no fold trained on" if test else ""
    given = "given in a file" if experiment.get("folds_file") else "by patient and label, by seed"
    return f"{len(metrics['folds'])}-fold cross-validation, folds {given}{held}"


def _uncertain(experiment: Mapping) -> str:
    if "uncertain" not in experiment:
        return ""
    blank = f", a blank by {experiment['blank']}" if experiment.get("blank") else ""
    return (
        f"An uncertain label was taught by the policy {experiment['uncertain']}{blank}; in scores "
        "it is left out."
    )
