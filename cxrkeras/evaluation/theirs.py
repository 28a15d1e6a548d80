"""Somebody else's predictions: joined with labels, scored and reported."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from cxrkeras.data.distortion import Factor
from cxrkeras.evaluation.evidence.evidence import write_evaluation
from cxrkeras.evaluation.report.run import write_report
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.predictions import Predictions
from cxrkeras.evaluation.scores.prevalence import read_prevalence
from cxrkeras.evaluation.tables.join import join
from data_prep.outputs import check_folder, remove


def evaluate_tables(
    predictions: Path,
    labels: Path,
    out: Path,
    *,
    overwrite: bool = False,
    prevalence: Path | None = None,
    ranks_only: bool = False,
    **joining: Any,
) -> dict:
    """Score predictions against labels into a folder: metrics, predictions and a report.

    Args:
        predictions: a table of probabilities.
        labels: a table of labels, or a prepared dataset.
        out: the folder.
        overwrite: replace an earlier evaluation in it.
        prevalence: a file of prevalences for the thresholds; those of the labels if None.
        ranks_only: the predictions are any real scores, of which only the order is judged.
        **joining: of `join.join`.

    Returns:
        What was written to `metrics.json`.

    Raises:
        UserError: the tables can't be used or don't fit each other, or `out` can't be used.
    """
    check_folder(out, "evaluate", _is_evaluation, overwrite=overwrite)
    joined = join(predictions, labels, ranks_only=ranks_only, **joining)
    training, origin = ({}, "") if ranks_only else _training(joined.predictions, prevalence)
    about = {
        "predictions": predictions.name,
        "labels": labels.name,
        "thresholds": origin,
        "notes": list(joined.notes),
        "learnt": joined.learnt,
    }
    remove((RunFolder(out).report, RunFolder(out).evidence, RunFolder(out).predictions))
    metrics = write_evaluation(out, joined.predictions, training, about)
    write_report(out)
    return metrics


def _is_evaluation(out: Path) -> bool:
    try:
        return json.loads(RunFolder(out).metrics.read_text("utf-8"))["kind"] == "evaluate"
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _training(predictions: Predictions, path: Path | None) -> tuple[dict, str]:
    """Prevalence and distortion by label for the thresholds, and where they come from."""
    if path is not None:
        return read_prevalence(path, predictions.labels), f"the prevalence given in {path.name}"
    known = np.isfinite(predictions.truth).sum(axis=0)
    positive = (predictions.truth == 1).sum(axis=0)
    share = np.divide(positive, known, out=np.full(len(known), np.nan), where=known > 0)
    origin = "the prevalence of the labels being scored (slightly optimistic: give --prevalence)"
    return {"prevalence": share, "distortion": Factor(np.ones(len(share)))}, origin
