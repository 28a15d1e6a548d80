"""The report of a run: one HTML file with everything inside, for screen and paper."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from cxrkeras.data.distortion import Distortion, Factor
from cxrkeras.evaluation.compare.resampling import drawn_words
from cxrkeras.evaluation.evidence.evidence import fold_numbers, row_distortion, row_thresholds
from cxrkeras.evaluation.evidence.shortcuts import read_shortcuts
from cxrkeras.evaluation.journal.cohort import WHOLE
from cxrkeras.evaluation.journal.confusion import SHARES
from cxrkeras.evaluation.journal.figures import journal_figures
from cxrkeras.evaluation.report import checklists, curves, history, narrative, plots, samples
from cxrkeras.evaluation.report.page import page
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.decisions import means
from cxrkeras.evaluation.scores.operating import FROM_PREVALENCE
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions
from data_prep.errors import UserError
from data_prep.files import atomic_write_text

_RULES = tuple(map(str, reversed(FROM_PREVALENCE)))  # the default first


@dataclass(frozen=True)
class _Run:
    folder: Path
    metrics: Mapping
    predictions: Predictions
    fold: np.ndarray
    experiment: Mapping
    environment: Mapping
    figures: Mapping


def write_report(run_dir: Path) -> Path:
    """Write `report.html` from the contents of a run folder; missing parts are left out.

    What a journal asks for is kept in `evidence.json`, which is made where it isn't up to date.

    Args:
        run_dir: a folder with `metrics.json` and `predictions.csv`, as `cv` or `evaluate` leave it.
            Sample images come from the prepared dataset that `experiment.toml` names as `data`.

    Returns:
        The report's path.

    Raises:
        UserError: `metrics.json` or `predictions.csv` is missing or isn't a run's.
    """
    run = _read(Path(run_dir))
    path = RunFolder(run.folder).report
    atomic_write_text(path, page(__package__, "report.html", _context(run)))
    return path


def _read(folder: Path) -> _Run:
    try:
        metrics = json.loads(RunFolder(folder).metrics.read_text("utf-8"))
        if metrics["kind"] not in ("cv", "evaluate"):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"A report is made from a finished run's metrics.json. {folder} has none. Give a "
            "folder that `cxrkeras cv` or `cxrkeras evaluate` wrote."
        ) from None
    predictions = read_predictions(RunFolder(folder).predictions)
    return _Run(
        folder=folder,
        metrics=metrics,
        predictions=predictions,
        fold=fold_numbers(predictions),
        experiment=_optional(RunFolder(folder).experiment, tomllib.loads),
        environment=_optional(RunFolder(folder).environment, json.loads),
        figures=_default_first(journal_figures(folder, metrics, predictions)),
    )


def _optional(path: Path, parse) -> Mapping:
    try:
        return parse(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise UserError(
            f"{path} can't be read. Repair or remove it, then write the report again."
        ) from None


def _context(run: _Run) -> dict:
    metrics = run.metrics
    shortcuts = (read_shortcuts(run.folder) or {}).get("shortcuts") or {}
    shown = _samples(run)
    points = _optional(RunFolder(run.folder).operating_points, json.loads)
    calibration = points.get("calibration_scores")
    return {
        "m": metrics,
        "ranks_only": metrics.get("ranks_only", False),
        "decisions": metrics.get("decisions") or {},
        "only_decisions": set(metrics.get("decisions") or ()) == set(metrics["labels"]),
        "decision_means": means(metrics.get("decisions") or {}),
        "drawn": _drawn(metrics),
        "title": narrative.title(run.experiment, metrics),
        "folder": run.folder.resolve().name,
        "sentence": narrative.sentence(metrics),
        "warnings": narrative.warnings(
            metrics, shuffled=bool(run.experiment.get("shuffle_labels"))
        ),
        "about": {"predictions": "", "labels": "", "thresholds": "", "notes": []}
        | metrics.get("about", {}),
        "shuffled": bool(run.experiment.get("shuffle_labels")),
        "facts": narrative.facts(run.experiment),
        "environment": narrative.environment_facts(run.environment),
        "distortion": _distortion(run),
        "rules": [name for name in _RULES if f"hamming_{name}" in metrics["micro"]["pooled"]],
        "strips": {name: _strips(part, name) for name, part in _rows(metrics)},
        "figures": _figures(run),
        "training": _training(run),
        "shortcuts": shortcuts,
        "samples": shown,
        "j": run.figures,
        "shares": SHARES,
        "whole_cohort": WHOLE,
        "calibrated": (calibration or {}).get("per_label") or {},
        "benefits": _benefits(run.figures),
        "checklists": checklists.checklists(
            checklists.known_facts(
                metrics,
                run.figures,
                experiment=run.experiment,
                environment=run.environment,
                run=run.folder.resolve().name,
                calibration=(calibration or {}).get("mean"),
                shortcuts=shortcuts,
                samples=bool(shown),
            )
        ),
        "without": _without(metrics),
        "whole": _WHOLE,
    }


def _default_first(figures: Mapping) -> Mapping:
    """The figures, whose rules begin with the default one, of those that there are."""
    parts = {name: figures[name] for name in ("operating_points", "held_out") if figures[name]}
    for name, by_rule in parts.items():
        first = next((rule for rule in (*_RULES, "decisions") if rule in by_rule), "")
        parts[name] = {first: by_rule[first], **by_rule} if first else by_rule
    return {**figures, **parts}


def _benefits(figures: Mapping) -> dict[str, Markup]:
    """{label: decision curve} of those that have one."""
    return {
        name: plots.benefit_panel(curve, f"{name}: net benefit over threshold probabilities")
        for name, curve in figures["decision_curve"].items()
        if curve
    }


def _drawn(metrics: Mapping) -> str:
    made = metrics.get("intervals")
    return drawn_words(made["patients"], made["units"]) if made else ""


def _rows(metrics: Mapping) -> list[tuple[str, Mapping]]:
    rows = [*metrics["per_label"].items()]
    without = _without(metrics)
    macro, micro = f"Macro mean{without}", f"Micro{without}"
    found = [*rows, (macro, metrics["macro"]), (micro, metrics["micro"])]
    return [*found, (_WHOLE, metrics["macro_all"])] if "macro_all" in metrics else found


_WHOLE = "Macro mean of all labels"


def _without(metrics: Mapping) -> str:
    """What the means leave out, as an end of their names."""
    left = metrics.get("left_out", ())
    return f" without {', '.join(left)}" if left else ""


def _strips(part: Mapping, name: str) -> dict[str, Markup]:
    pooled, folds = part["pooled"], part.get("per_fold", [])
    chance = {"auroc": 0.5, "average_precision": pooled["prevalence"] or 0.0}
    limits = {"auroc": (0.3, 1.0), "average_precision": (0.0, 1.0)}
    return {
        metric: plots.strip(
            pooled[metric],
            [fold[metric] for fold in folds if fold[metric] is not None],
            chance[metric],
            limits[metric],
            f"{name}, {metric.replace('_', ' ')}: the folds, their pooled value, and chance",
            interval=pooled.get(f"{metric}_interval"),
        )
        for metric in chance
    }


def _figures(run: _Run) -> list[dict]:
    distortion = None if run.predictions.ranks_only else row_distortion(run.metrics, run.fold)
    prob = run.predictions.prob
    mended = prob if distortion is None else distortion.undistort(prob)
    return [_label_figures(run, k, mended[:, k]) for k in range(len(run.predictions.labels))]


def _distortion(run: _Run) -> str:
    """What is known of the loss's: `unknown`, `none`, `factor` or `curve`."""
    training = run.metrics["training"].values()
    known = [Distortion.from_facts(part, run.metrics["labels"]) for part in training]
    if any(part is None for part in known):
        return "unknown"
    if all(part.none for part in known):
        return "none"
    return "factor" if all(isinstance(part, Factor) for part in known) else "curve"


def _label_figures(run: _Run, k: int, mended: np.ndarray) -> dict:
    name = run.predictions.labels[k]
    truth, prob = run.predictions.truth[:, k], run.predictions.prob[:, k]
    pooled = run.metrics["per_label"][name]["pooled"]
    prevalence = pooled["prevalence"] or 0.0
    figures = {"name": name, **pooled, "roc": None, "pr": None, "reliability": None}
    if name in (run.metrics.get("decisions") or {}):
        return figures
    for kind, points_of, chance, names in (
        ("roc", curves.roc_points, [(0, 0), (1, 1)], ("false positive rate", "true positive rate")),
        ("pr", curves.pr_points, [(0, prevalence), (1, prevalence)], ("recall", "precision")),
    ):
        lines = _curve_lines(run, points_of, truth, prob)
        text = f"{name}: {names[1]} against {names[0]}"
        figures[kind] = plots.unit_panel(lines, chance, names, text) if lines else None
    kinds = run.figures["calibration"]
    bins = ((kinds.get("adjusted") or kinds.get("scores") or {}).get(name) or {}).get("bins", ())
    if not run.predictions.ranks_only:
        figures["reliability"] = _reliability(name, truth, prob, mended, bins)
    return figures


def _curve_lines(run: _Run, points_of, truth: np.ndarray, prob: np.ndarray) -> list:
    parts = [(run.fold == k, "fold", f"fold {k}") for k in run.metrics["folds"]]
    parts.append((np.ones(len(truth), dtype=bool), "pooled", "all rows"))
    lines = [(points_of(truth[rows], prob[rows]), kind, title) for rows, kind, title in parts]
    return [line for line in lines if line[0] is not None]


def _reliability(name: str, truth, prob, undistorted, bins) -> Markup | None:
    raw = curves.reliability_points(truth, prob)
    if raw is None:
        return None
    distorted = not np.array_equal(prob, undistorted, equal_nan=True)
    mended = curves.reliability_points(truth, undistorted) if distorted else None
    highest = max(float(points.max()) for points in (raw, mended) if points is not None)
    limit = min(1.0, max(0.05, np.ceil(highest * 20) / 20))
    text = f"{name}: observed share of positives against the mean score, in bins of equal count"
    return plots.reliability_panel(raw, mended, limit, text, bins)


def _training(run: _Run) -> list[tuple[str, list]]:
    all_negative = run.metrics["micro"]["pooled"]["all_negative_accuracy"]
    sections = []
    folds = history.read_histories(RunFolder(run.folder).folds)
    for title, tables in history.by_step(folds, "Target, all folds").items():
        sections.append((title, history.panels(tables, "fold", all_negative)))
    for name, table in history.read_histories(run.folder / "stages").items():
        sections.append((f"Source stage {name}", history.panels({name: table}, "stage")))
    return [section for section in sections if section[1]]


def _samples(run: _Run) -> list:
    data = run.experiment.get("data")
    if not isinstance(data, str) or not data:
        return []
    places = [Path(data), run.folder / data]
    dataset = next((place for place in places if (place / "images").is_dir()), None)
    if dataset is None:
        return []
    rules = row_thresholds(run.metrics, run.fold)
    thresholds = rules.get("corrected", rules["prevalence"])
    return samples.load(run.predictions, thresholds, dataset)
