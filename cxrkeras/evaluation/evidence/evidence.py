"""The evidence of a finished run: predictions scored at their own fold's thresholds."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.data.distortion import Distortion, by_row
from cxrkeras.evaluation.compare.uncertainty import with_intervals
from cxrkeras.evaluation.evidence.audit import audit_folds
from cxrkeras.evaluation.evidence.branches import score_branches
from cxrkeras.evaluation.evidence.doubts import constant_predictions
from cxrkeras.evaluation.evidence.trainings import spread_of_trainings
from cxrkeras.evaluation.rules import PrevalenceRule
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.decisions import decided, score_decisions
from cxrkeras.evaluation.scores.metrics import evaluate
from cxrkeras.evaluation.scores.operating import FROM_PREVALENCE, from_prevalence
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions, write_predictions
from data_prep.errors import UserError
from data_prep.files import atomic_write_json
from data_prep.tables.table import read_table

FORMAT = 1


def write_metrics(run_dir: Path) -> dict:
    """Score a run folder and write its `metrics.json` in one step.

    Reads `predictions.csv`, `folds/K/fold.json`, `folds.csv` and, when there is one,
    `test_predictions.csv`, whose thresholds are the mean over the folds, as its scores are.

    Args:
        run_dir: the run folder, all folds finished.

    Returns:
        What was written: `metrics.evaluate`'s dict with intervals (`uncertainty.with_intervals`),
        `format`, `kind`, `patients`, `training` (per fold: prevalence and, where the loss's
        distortion is known, `inflation` or `distortion` by label),
        `features` (per fold, of a frozen trunk: `all`, `constant`), `branches` (where there are
        any, see `score_branches`), `seeds` (of a run with several, see `spread_of_trainings`),
        `constant_predictions`,
        `audit`, and `test` (None without one).

    Raises:
        UserError: a file is missing or doesn't fit the others.
    """
    run_dir = Path(run_dir)
    predictions = read_predictions(RunFolder(run_dir).predictions)
    fold = fold_numbers(predictions)
    training = _training(run_dir, sorted(set(fold.tolist())), predictions.labels)
    result = {
        "format": FORMAT,
        "kind": "cv",
        **_scores(predictions, training, fold),
        "patients": len(set(predictions.patients) - {""}),
        "training": _named(training, predictions.labels),
        "features": _features(run_dir, training),
    }
    test = None
    if (RunFolder(run_dir).test_predictions).is_file():
        test = read_predictions(RunFolder(run_dir).test_predictions)
        if test.labels != predictions.labels:
            raise UserError(
                "The labels of test_predictions.csv must be those of predictions.csv. "
                f"Received: {', '.join(test.labels)}. Predict the test set again."
            )
    if branches := score_branches(run_dir, predictions):
        result["branches"] = branches
    if spread := spread_of_trainings(run_dir):
        result["seeds"] = spread
    result["audit"] = audit_folds(_folds_table(run_dir), predictions, test)
    result["audit"]["linked_patients"] = _linked_patients(run_dir)
    result["test"] = None if test is None else _scores(test, training, None)
    atomic_write_json(RunFolder(run_dir).metrics, result)
    return result


def write_evaluation(
    out: Path, predictions: Predictions, training: Mapping, about: Mapping
) -> dict:
    """Score one undivided set and write `predictions.csv` and `metrics.json` into `out`.

    Args:
        out: the folder, created if necessary.
        predictions: all in fold 0.
        training: `prevalence` (K,) and `distortion` (None where not known), for the thresholds of
            probabilities.
        about: what the report says of the origin: `predictions`, `labels`, `thresholds`, `notes`.

    Returns:
        What was written to `metrics.json`: with `ranks_only`, whether the scores are no
        probabilities, for which there are no thresholds then; and `decisions`, see
        `decisions.score_decisions`.
    """
    parts = {} if predictions.ranks_only else {0: training}
    result = {
        "format": FORMAT,
        "kind": "evaluate",
        "ranks_only": predictions.ranks_only,
        **_scores(predictions, parts, None, decided(predictions.prob)),
        "decisions": score_decisions(predictions),
        "patients": len(set(predictions.patients) - {""}),
        "training": _named(parts, predictions.labels),
        "audit": None,
        "test": None,
        "about": dict(about),
    }
    # metrics.json first: it marks the folder as ours, should the rest not come to pass
    atomic_write_json(RunFolder(out).metrics, result)
    write_predictions(RunFolder(out).predictions, predictions)
    return result


def fold_numbers(predictions: Predictions) -> np.ndarray:
    """(N,) ints; raises UserError when a fold isn't a number."""
    if not all(name.isdecimal() for name in predictions.folds):
        raise UserError("Folds in predictions.csv are numbers from 0. Run the evaluation again.")
    return np.array([int(name) for name in predictions.folds])


def row_distortion(metrics: Mapping, fold: np.ndarray) -> Distortion | None:
    """What the loss did to each of N rows, from a `metrics.json`; None where that isn't known."""
    parts = metrics["training"]
    order = {name: number for number, name in enumerate(parts)}
    known = [Distortion.from_facts(part, metrics["labels"]) for part in parts.values()]
    return by_row(known, np.array([order[str(k)] for k in fold]))


def row_thresholds(
    metrics: Mapping, fold: np.ndarray, rules: Sequence[PrevalenceRule] = FROM_PREVALENCE
) -> dict[str, np.ndarray]:
    """(N, K) thresholds by rule, each row's from the training part of its fold."""
    parts, labels = metrics["training"], metrics["labels"]
    shares = {k: [part["prevalence"][label] for label in labels] for k, part in parts.items()}
    prevalence = np.array([shares[str(k)] for k in fold], dtype=np.float64)
    return from_prevalence(prevalence, row_distortion(metrics, fold), rules)


def _scores(
    predictions: Predictions,
    training: dict,
    fold: np.ndarray | None,
    columns: Sequence[int] = (),
) -> dict:
    """Scores at each row's thresholds: those of its fold, or their mean where no fold is given.

    `columns` hold 0/1 decisions.
    """
    rules = {
        k: from_prevalence(part["prevalence"], part["distortion"]) for k, part in training.items()
    }
    known = [set(found) for found in rules.values()]
    names = [name for name in next(iter(rules.values()), ()) if all(name in one for one in known)]
    if fold is None:
        rows = np.zeros(len(predictions.images), dtype=int)
        tables = {name: _mean_of_known([rules[k][name] for k in rules]) for name in names}
    else:
        order = sorted(rules)
        rows = np.searchsorted(order, fold)
        tables = {name: np.stack([rules[k][name] for k in order]) for name in names}
    thresholds = {name: table[rows] for name, table in tables.items()}
    scores = evaluate(
        predictions.truth,
        predictions.prob,
        predictions.labels,
        fold=fold,
        thresholds=thresholds,
        decided=columns,
        ranks_only=predictions.ranks_only,
    )
    constant = constant_predictions(predictions.prob, predictions.labels, predictions.folds)
    return {**with_intervals(scores, predictions, columns), "constant_predictions": constant}


def _mean_of_known(rows: list[np.ndarray]) -> np.ndarray:
    values = np.stack(rows)
    known = np.isfinite(values).sum(axis=0)
    total = np.nansum(values, axis=0)
    return np.divide(total, known, out=np.full(total.shape, np.nan), where=known > 0)[None, :]


def _training(run_dir: Path, folds: list[int], labels: tuple[str, ...]) -> dict[int, dict]:
    return {k: _fold_json(RunFolder(run_dir).fold(k).facts, labels) for k in folds}


def _features(run_dir: Path, folds: Iterable[int]) -> dict[str, dict]:
    """How many features of frozen trunks there are, and are constant; of folds that say so."""
    paths = {str(k): RunFolder(run_dir).fold(k).facts for k in folds}
    facts = {k: json.loads(path.read_text("utf-8")) for k, path in paths.items()}
    return {k: fact["features"] for k, fact in facts.items() if "features" in fact}


def _fold_json(path: Path, labels: tuple[str, ...]) -> dict:
    try:
        content = json.loads(path.read_text("utf-8"))
        prevalence = [content["training_prevalence"][label] for label in labels]
        prevalence = np.array(prevalence, dtype=np.float64)
        return {"prevalence": prevalence, "distortion": Distortion.from_facts(content, labels)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"Each fold folder holds fold.json with training_prevalence and inflation for every "
            f"label. Received: {type(error).__name__} for {path}. Train that fold again."
        ) from None


def _named(training: dict[int, dict], labels: tuple[str, ...]) -> dict:
    """JSON keys are text; a prevalence that isn't known is None."""
    return {
        str(k): {
            "prevalence": {
                label: _or_none(v) for label, v in zip(labels, part["prevalence"], strict=True)
            },
            **(part["distortion"].as_facts(labels) if part["distortion"] else {}),
        }
        for k, part in training.items()
    }


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _linked_patients(run_dir: Path) -> dict[str, int]:
    """`merged` and `apart`, as the run's data say (`data.preparation.linked_patients`)."""
    path = RunFolder(run_dir).environment
    noted = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {"merged": 0, "apart": 0} | noted.get("linked_patients", {})


def _folds_table(run_dir: Path) -> pd.DataFrame:
    path = RunFolder(run_dir).fold_table
    if not path.is_file():
        raise UserError(f"A run folder holds folds.csv. Not found: {path}. Run cv again.")
    table = read_table(path)
    missing = [c for c in ("image", "patient", "fold") if c not in table.columns]
    if missing:
        raise UserError(f"folds.csv needs image, patient, fold. Missing: {', '.join(missing)}.")
    return table
