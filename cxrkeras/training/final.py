"""The final model: all target data, with the settings and operating points of a finished run."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cxrkeras import runtime
from cxrkeras.data.dataset import open_dataset
from cxrkeras.data.distortion import Distortion
from cxrkeras.data.folds.folds import TEST
from cxrkeras.data.model_json import FILE, read_model_json, write_model_json
from cxrkeras.evaluation.evidence.out_of_fold import fit_on_run, read_operating_points
from cxrkeras.evaluation.evidence.performance import (
    HELD_OUT,
    OUT_OF_FOLD,
    out_of_fold_performance,
    performance,
)
from cxrkeras.evaluation.rules import PrevalenceRule, Rule
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.operating import FROM_PREVALENCE, add_held_out, prevalence_points
from cxrkeras.runs.description import read_experiment
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.folder import (
    check_data,
    is_finished,
    predictions_of,
    threads_of,
    write_table,
)
from cxrkeras.runs.starts import command_line
from cxrkeras.runs.target import Target, load_target
from cxrkeras.runtime.threads import use_threads
from cxrkeras.training.plan import resolve
from cxrkeras.training.watching.watch import watched
from data_prep.errors import UserError
from data_prep.say import logged, note, say

_NUMBER = 999  # of the fit, for its seed; no fold has this number


def train_final(
    run: Path, out: Path, *, with_test: bool = False, rules: Sequence[Rule] = ()
) -> dict:
    """Train the model that a finished run describes; a killed call resumes after its last epoch.

    It learns as each fold's model did, but from all folds together: with the same cached stages,
    the same settings, and the same share held out to steer the learning rate and early stopping.
    Operating points and calibration are the run's, from its out-of-fold predictions. So are the
    performance figures, unless a test set was held out: then the model is scored on that.

    Args:
        run: a finished run folder.
        out: the model folder, created in one step at the end. An existing model of the same run and
            data is kept, and its operating points are rewritten.
        with_test: also learn from the held-out test set.
        rules: threshold rules whose operating points are kept beside the standard ones.

    Returns:
        The contents of `model.json`.

    Raises:
        UserError: the run isn't finished, data or sources have changed, or `out` holds something
            else.
    """
    experiment, target = _open(run)
    made_from = _identity(experiment, target, with_test)
    card = _card(out, made_from)
    fitted = _fitted_points(run, rules)
    if card is None:
        _check_writable(out)
        rows = np.flatnonzero(with_test | (target.folds != TEST))
        with watched(experiment, run) as watch, logged(RunFolder(run).train_log) as log:
            log.open()
            watch.open()
            note(f"started: {command_line()}")
            card = _fit(run, out, experiment, target, rows, {"run": made_from, **fitted}, rules)
            note(f"finished: {out}")
    else:
        say(f"{out}: already made from this run, so it is kept; its operating points are rewritten")
        card |= fitted | {"operating_points": _all_points(card, fitted, rules)}
        write_model_json(out, card)
    return card


def _open(run: Path) -> tuple[Experiment, Target]:
    description = RunFolder(run).experiment
    if not description.is_file():
        raise UserError(f"--run must be a run folder of `cxrkeras cv`. Received: {run}.")
    experiment = read_experiment(description)
    again = f"cxrkeras cv --config {description} --out {run}"
    if experiment.seeds > 1:
        own = RunFolder(run).training(experiment.seed).path
        raise UserError(
            f"A final model is of one training; {run} has {experiment.seeds}. Give --run {own}, or "
            "make one of each and join them with `cxrkeras ensemble`; the run itself answers as "
            "the mean of all its models."
        )
    if experiment.shuffle_labels:
        raise UserError(f"{run} is a leak test with shuffled labels, from which no model is made.")
    if not RunFolder(run).environment.is_file() or not RunFolder(run).fold_table.is_file():
        raise UserError(f"{run} isn't finished. Finish it first: {again}")
    dataset = open_dataset(Path(experiment.data), experiment.labels_of())
    check_data(run, dataset, experiment)
    target = load_target(experiment, dataset, RunFolder(run).fold_table)
    numbers = target.fold_numbers
    done = sum(is_finished(run, fold) for fold in numbers)
    if done < len(numbers) or not RunFolder(run).metrics.is_file():
        raise UserError(
            f"{run} isn't finished ({done} of {len(numbers)} folds). Finish it first: {again}"
        )
    return experiment, target


def _identity(experiment: Experiment, target: Target, with_test: bool) -> dict:
    """What the model is made of, without file locations."""
    choices = json.loads(json.dumps(experiment.placeless()))
    dataset = target.dataset
    data = {"data": experiment.fingerprint_of(dataset), "films": dataset.films}
    return data | {"with_test": with_test, "experiment": choices}


def _card(out: Path, made_from: dict) -> dict | None:
    """The `model.json` of the same model made earlier; None if `out` is missing or empty."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    try:
        card = read_model_json(out / FILE)
        same = card.get("run") == made_from
    except (OSError, UserError):
        same = False
    if not same:
        raise UserError(f"--out {out} holds something else. Give another folder.")
    return card


def _check_writable(out: Path) -> None:
    """Check before training, not after it."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(dir=out.parent).cleanup()
    except OSError as error:
        raise UserError(f"--out {out} can't be written: {error.strerror}.") from error


def _fitted_points(run: Path, rules: Sequence[Rule]) -> dict:
    known = read_operating_points(run)
    points = dict(known["operating_points"])
    points |= {str(rule): fit_on_run(run, rule) for rule in rules if str(rule) not in points}
    return {
        "operating_points": points,
        "calibration": known["calibration"],
    }


def _all_points(card: dict, fitted: dict, rules: Sequence[Rule]) -> dict:
    """The run's points, with the model's own prevalence and what it was itself seen to achieve."""
    labels = card["labels"]
    shares = np.array([[card["training_prevalence"][name] for name in labels]], dtype=np.float64)
    more = [rule for rule in rules if isinstance(rule, PrevalenceRule)]
    distortions = [Distortion.from_facts(card, labels)]
    own = prevalence_points(labels, shares, distortions, [*FROM_PREVALENCE, *more])
    before = card.get("operating_points", {})
    points: dict[str, dict] = {}
    for rule, by_label in fitted["operating_points"].items():
        points[rule] = {}
        for label, point in by_label.items():
            known = before.get(rule, {}).get(label, {}).get("held_out")
            of_run = {key: value for key, value in point.items() if key != "held_out"}
            points[rule][label] = of_run | own.get(rule, {}).get(label, {})
            if known:
                points[rule][label]["held_out"] = known
    return points


def _fit(
    run: Path,
    out: Path,
    experiment: Experiment,
    target: Target,
    rows: np.ndarray,
    known: dict,
    rules: Sequence[Rule],
) -> dict:
    use_threads(threads_of(run))  # its last digits are the folds' on any machine
    runtime.start(fast=experiment.fast, devices=experiment.devices)
    from cxrkeras.training.folds import fit_rows, make_fitter, model_card, save_model

    plan = resolve(experiment)
    fitter = make_fitter(plan, target, run)
    kept = run / ("final-with-test" if known["run"]["with_test"] else "final")
    fitted = fit_rows(
        fitter,
        plan,
        target,
        rows,
        number=_NUMBER,
        what="the final model",
        title="final model",
        checkpoint=kept / "checkpoint.npz",
    )
    card = {**model_card(experiment, target, fitted.facts), "images": fitted.facts["images"]}
    card |= known | {"operating_points": _all_points(card, known, rules)}
    card["performance"] = _score(run, fitter, target, rows, card["operating_points"])
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        done = Path(scratch, "done")
        done.mkdir()
        write_table(done / "history.csv", fitted.history)
        card = save_model(fitter, done, card)
        done.replace(out)
    shutil.rmtree(kept, ignore_errors=True)
    return card


def _score(run: Path, fitter, target: Target, learned: np.ndarray, points: dict) -> dict:
    """Score the model on images that it hasn't learnt from; else take the run's own figures.

    The operating points get what they achieve there.
    """
    left = np.setdiff1d(np.arange(len(target.folds)), learned)
    if not len(left):
        how = f"{OUT_OF_FOLD}. These figures are of the cross-validation's models; this model"
        return out_of_fold_performance(run, f"{how} learnt from all of these images")
    tested = predictions_of(target, left, fitter.predict(left))
    add_held_out(points, tested.labels, tested.truth, tested.prob)
    return performance(tested, target.dataset.root, f"{HELD_OUT}, which this model hasn't seen")
