"""Operating points and calibration from a run's out-of-fold predictions.

Scikit-learn and SciPy take seconds to import, so they are imported only if something is fitted:
predicting with a complete model needs neither.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cxrkeras.data.checked_json import checked, read_any
from cxrkeras.data.distortion import Distortion
from cxrkeras.data.model_json import RunPoints
from cxrkeras.evaluation.rules import PrevalenceRule, Rule
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.operating import (
    FROM_PREVALENCE,
    STANDARD,
    add_held_out,
    fit_points,
    prevalence_points,
    reached,
)
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions
from data_prep.errors import UserError
from data_prep.files import atomic_write_json, read_json

FORMAT = 3
WHERE = "out-of-fold predictions"

_WRONG = (OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def write_operating_points(run: Path) -> None:
    """Write `operating_points.json` of a run; see `fit_operating_points`."""
    atomic_write_json(RunFolder(run).operating_points, fit_operating_points(run))


def fit_operating_points(run: Path) -> dict:
    """Operating points and calibration from a run's `predictions.csv` and `metrics.json`.

    Args:
        run: the run folder, all folds finished.

    Returns:
        `format`; `operating_points` {rule: {label: ...}} for `prevalence`, `corrected` and the
        rules of `STANDARD`, on the scores as they are (see `operating.fit_points`), with what they
        reach out of fold (`cross_fitted`) and, by the mean of all folds' models, on the held-out
        test set (`held_out`), if there is one; `calibration` {label: ...} of the scores without the
        loss's distortion (see `fit_calibration`), and `calibration_scores`, cross-fitted over the
        folds (see `score_calibration`).

    Raises:
        UserError: a file is missing or doesn't fit the others.
    """
    run_folder = RunFolder(run)
    predictions = read_predictions(run_folder.predictions)
    test = run_folder.test_predictions
    held_out = read_predictions(test) if test.is_file() else None
    try:
        return points_and_calibration(predictions, read_json(run_folder.metrics), held_out)
    except _WRONG as error:
        raise _damaged(run_folder.metrics, error) from None


def points_and_calibration(
    predictions: Predictions, metrics: Mapping, held_out: Predictions | None
) -> dict:
    """What `fit_operating_points` gives, of predictions in memory.

    Args:
        predictions: out of fold.
        metrics: `labels` and `training`, as in a `metrics.json`.
        held_out: of the held-out test set, by the mean of all folds' models; None without one.
    """
    from cxrkeras.evaluation.evidence.evidence import fold_numbers, row_distortion
    from cxrkeras.evaluation.scores.calibration import fit_calibration, score_calibration

    truth, prob, labels = predictions.truth, predictions.prob, predictions.labels
    fold = fold_numbers(predictions)
    distortion = row_distortion(metrics, fold)
    undistorted = prob if distortion is None else distortion.undistort(prob)
    points = _from_prevalence(metrics, predictions, fold, FROM_PREVALENCE)
    points |= fit_points(labels, truth, prob, STANDARD, fold=fold, where=WHERE)
    if held_out is not None:
        add_held_out(points, held_out.labels, held_out.truth, held_out.prob)
    return {
        "format": FORMAT,
        "operating_points": points,
        "calibration": fit_calibration(labels, truth, undistorted, WHERE),
        "calibration_scores": score_calibration(labels, truth, prob, undistorted, fold),
    }


def read_operating_points(run: Path) -> dict:
    """Read what `write_operating_points` wrote; for older runs, fit it now.

    Raises:
        UserError: the file is damaged (the first wrong field is named), or fitting is impossible.
    """
    try:
        facts = read_any(RunFolder(run).operating_points, _again(run))
    except FileNotFoundError:
        return fit_operating_points(run)
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        return fit_operating_points(run)
    return checked(facts, RunPoints, RunFolder(run).operating_points, _again(run))


def fit_on_run(run: Path, rule: Rule) -> dict[str, dict]:
    """{label: operating point} of any one rule, from a run folder."""
    from cxrkeras.evaluation.evidence.evidence import fold_numbers

    predictions = read_predictions(RunFolder(run).predictions)
    truth, prob = predictions.truth, predictions.prob
    fold = fold_numbers(predictions)
    if isinstance(rule, PrevalenceRule):
        metrics = RunFolder(run).metrics
        try:
            points = _from_prevalence(read_json(metrics), predictions, fold, [rule])
        except _WRONG as error:
            raise _damaged(metrics, error) from None
    else:
        points = fit_points(predictions.labels, truth, prob, [rule], fold=fold, where=WHERE)
    _add_test(run, points)
    return points[str(rule)]


def _from_prevalence(
    metrics: Mapping,
    predictions: Predictions,
    fold: np.ndarray,
    rules: Sequence[PrevalenceRule],
) -> dict:
    """The rules that need no fit: the mean over the folds, and what each fold's own reaches."""
    from cxrkeras.evaluation.evidence.evidence import row_thresholds

    parts, labels = metrics["training"].values(), predictions.labels
    shares = [[part["prevalence"][label] for label in labels] for part in parts]
    distortions = [Distortion.from_facts(part, labels) for part in parts]
    points = prevalence_points(labels, np.array(shares, np.float64), distortions, rules)
    for rule, thresholds in row_thresholds(metrics, fold, rules).items():
        for k, label in enumerate(labels):
            known = np.isfinite(predictions.truth[:, k])
            y, cut = predictions.truth[known, k] == 1, thresholds[known, k]
            called = predictions.prob[known, k] > cut if np.isfinite(cut).all() else None
            points[rule][label]["cross_fitted"] = reached(y, called)
    return points


def _add_test(run: Path, points: dict) -> None:
    test = RunFolder(run).test_predictions
    if test.is_file():
        held_out = read_predictions(test)
        add_held_out(points, held_out.labels, held_out.truth, held_out.prob)


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"A finished run has {path.name}. {path} can't be used ({type(error).__name__}). "
        f"{_again(path.parent)}"
    )


def _again(run: Path) -> str:
    return (
        "Run `cxrkeras cv` with the run's own settings again: "
        f"--config {run / 'experiment.toml'} --out {run}"
    )
