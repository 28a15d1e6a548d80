"""What a journal asks for beyond the scores of `metrics.json`, of a run or an evaluation."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cxrkeras.evaluation.compare.resampling import drawn_words, sampling_units
from cxrkeras.evaluation.evidence.evidence import fold_numbers, row_distortion, row_thresholds
from cxrkeras.evaluation.evidence.out_of_fold import read_operating_points
from cxrkeras.evaluation.evidence.settings import data_of
from cxrkeras.evaluation.evidence.subgroups import rows_of
from cxrkeras.evaluation.journal.citing import which_auroc
from cxrkeras.evaluation.journal.cohort import cohort
from cxrkeras.evaluation.journal.confusion import confusions
from cxrkeras.evaluation.journal.groups import POWER, compare_groups
from cxrkeras.evaluation.journal.net_benefit import decision_curve
from cxrkeras.evaluation.journal.reliability import reliability
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.operating import STANDARD, crossed, thresholds_of
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions
from cxrkeras.evaluation.scores.shares import LEVEL
from data_prep.files import atomic_write_json, read_json

FORMAT = 1
_MANIFEST = "manifest.csv"
DECISIONS = "decisions"
"""The rule of columns that hold 0/1 decisions."""


def journal_figures(run: Path, metrics: Mapping, predictions: Predictions) -> dict:
    """The figures of a finished run or evaluation; made and kept in its `evidence.json` if need be.

    Args:
        run: the folder.
        metrics: its `metrics.json`.
        predictions: its `predictions.csv`.

    Returns:
        `format`, `made_from` (digests of these two, and of the test set's predictions, the
        operating points and the manifest where there are such, to know whether they have changed),
        `level` (of the intervals), `power`; `images`, `patients`, `drawn` (whose likeness intervals
        allow for, in words); `cohort` (`cohort.cohort`); `operating_points` {rule: {label: see
        `confusion.confusion`}}, each film decided at thresholds that its fold had no part in;
        `held_out`, the same on the test set by the mean of all folds' models, or None;
        `calibration` {`scores` and, if the loss's distortion is known, `adjusted`: {label: see
        `reliability.reliability`}} and `decision_curve` {label: see `net_benefit.decision_curve`},
        of the probabilities without the loss's distortion; `groups` (`groups.compare_groups`);
        `which_auroc` (`citing.which_auroc`). Empty or None where predictions don't have it.

    Raises:
        UserError: the test set's predictions can't be used.
    """
    figures, new = _figures(run, metrics, predictions)
    if new:
        atomic_write_json(RunFolder(run).evidence, figures)
    return figures


def figures_of(run: Path) -> dict:
    """The figures of a finished run, as `journal_figures` has them; nothing is written.

    Raises:
        UserError: predictions are missing or damaged.
    """
    metrics = read_json(RunFolder(run).metrics)
    return _figures(run, metrics, read_predictions(RunFolder(run).predictions))[0]


def _figures(run: Path, metrics: Mapping, predictions: Predictions) -> tuple[dict, bool]:
    """The figures, and whether they were made now."""
    folder = RunFolder(run)
    data = data_of(run)
    manifest = data and data / _MANIFEST
    sources = (folder.metrics, folder.predictions, folder.test_predictions, folder.operating_points)
    digests = {path.name: _digest(path) for path in (*sources, manifest) if path and path.is_file()}
    try:
        kept = json.loads(folder.evidence.read_text("utf-8"))
        made_from = dict(kept["made_from"])
        if _MANIFEST not in digests:
            made_from.pop(_MANIFEST, None)  # who was filmed is still known where the data are gone
        if (kept["format"], made_from) == (FORMAT, digests):
            return kept, False
    except (OSError, ValueError, KeyError, TypeError):
        pass  # of another version, or none: what it says follows from the others
    figures = {
        "format": FORMAT,
        "made_from": digests,
        **make_figures(predictions, metrics, manifest),
        "held_out": _held_out(run),
    }
    return figures, True


def make_figures(predictions: Predictions, metrics: Mapping, manifest: Path | None) -> dict:
    """What `journal_figures` gives, of predictions in memory, without the test set.

    Args:
        predictions: out of fold, or an evaluation's.
        metrics: their `metrics.json`.
        manifest: of the prepared dataset; None where there is none.
    """
    unit = sampling_units(predictions.images, predictions.patients)
    patients = len(set(predictions.patients) - {""})
    there = manifest is not None and manifest.is_file()
    table = rows_of(predictions, manifest) if there else None
    return {
        "level": LEVEL,
        "power": POWER,
        "images": len(predictions.images),
        "patients": patients,
        "drawn": drawn_words(patients, int(unit.max()) + 1),
        "cohort": cohort(predictions, table),
        "operating_points": confusions(
            predictions.labels, predictions.truth, _calls(predictions, metrics), unit
        ),
        **_probabilities(predictions, metrics, unit),
        "groups": [] if table is None else compare_groups(predictions, table),
        "which_auroc": which_auroc(metrics),
    }


def _calls(predictions: Predictions, metrics: Mapping) -> dict[str, np.ndarray]:
    """{rule: (N, K) 1, 0, or NaN where nothing is decided}."""
    decided = [k for k, name in enumerate(predictions.labels) if name in _decisions(metrics)]
    calls = {}
    if not predictions.ranks_only:
        fold = fold_numbers(predictions)
        for rule, cut in row_thresholds(metrics, fold).items():
            calls[rule] = np.where(np.isfinite(cut), predictions.prob > cut, np.nan)
        if len(set(fold.tolist())) > 1:
            calls |= _crossed(predictions, fold)
        for called in calls.values():
            called[:, decided] = np.nan
    if decided:
        calls[DECISIONS] = np.full(predictions.prob.shape, np.nan)
        calls[DECISIONS][:, decided] = predictions.prob[:, decided]
    return {rule: called for rule, called in calls.items() if np.isfinite(called).any()}


def _crossed(predictions: Predictions, fold: np.ndarray) -> dict[str, np.ndarray]:
    found = np.full((len(STANDARD), *predictions.prob.shape), np.nan)
    for k in range(len(predictions.labels)):
        known = np.isfinite(predictions.truth[:, k])
        y, p = predictions.truth[known, k] == 1, predictions.prob[known, k]
        called = crossed(y, p, STANDARD, fold[known]) if known.any() else None
        if called is not None:
            found[:, known, k] = called
    return {str(rule): called for rule, called in zip(STANDARD, found, strict=True)}


def _probabilities(predictions: Predictions, metrics: Mapping, unit: np.ndarray) -> dict:
    if predictions.ranks_only:
        return {"calibration": {}, "decision_curve": {}}
    distortion = row_distortion(metrics, fold_numbers(predictions))
    tables = {"scores": predictions.prob}
    if distortion is not None:
        tables["adjusted"] = distortion.undistort(predictions.prob)
    left_out = _decisions(metrics)
    columns = {
        name: (k, np.isfinite(predictions.truth[:, k]))
        for k, name in enumerate(predictions.labels)
        if name not in left_out
    }

    def of_each(function, prob):
        return {
            name: function(predictions.truth[known, k] == 1, prob[known, k], unit[known])
            for name, (k, known) in columns.items()
        }

    return {
        "calibration": {kind: of_each(reliability, prob) for kind, prob in tables.items()},
        "decision_curve": of_each(decision_curve, tables.get("adjusted", predictions.prob)),
    }


def _decisions(metrics: Mapping) -> Mapping:
    return metrics.get("decisions") or {}


def _held_out(run: Path) -> dict | None:
    """On the test set, at the thresholds of the run as a whole."""
    path = RunFolder(run).test_predictions
    if not path.is_file():
        return None
    test = read_predictions(path)
    points = read_operating_points(run)["operating_points"]
    calls = {}
    for rule, by_label in points.items():
        cut = thresholds_of(by_label, test.labels)
        calls[rule] = np.where(np.isfinite(cut), test.prob > cut, np.nan)
    unit = sampling_units(test.images, test.patients)
    return confusions(test.labels, test.truth, calls, unit)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
