"""The run folder: begun for one experiment, filled fold by fold, completed at the end."""

import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from cxrkeras import runtime
from cxrkeras.data.dataset import PreparedDataset
from cxrkeras.data.folds.files import save_folds
from cxrkeras.data.folds.folds import TEST
from cxrkeras.data.inputs import further
from cxrkeras.data.labels.entries import MASKED
from cxrkeras.data.preparation import linked_patients
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.predictions import (
    TEST_FOLD,
    Predictions,
    read_predictions,
    write_predictions,
)
from cxrkeras.runs.description import write_experiment
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.target import Target
from cxrkeras.runtime.threads import threads
from data_prep.errors import UserError
from data_prep.files import atomic_write_json, atomic_write_text
from data_prep.tables.cells import frame_as_csv


def begin(run: Path, experiment: Experiment, target: Target, *, begun: bool) -> None:
    """Write environment and folds, and then the description, which claims the folder.

    Args:
        run: the run folder, created if it doesn't exist.
        experiment: its description; rewritten for a run that was already begun, whose data may have
            moved.
        target: the data and their folds.
        begun: see `starts.is_begun`.

    Raises:
        UserError: the folder can't be created.
    """
    description = RunFolder(run).experiment
    try:
        run.mkdir(parents=True, exist_ok=True)
        if not begun:
            # What an experiment without a finished fold left; its description goes last.
            own = RunFolder(run)
            for left in (own.folds, own.stages, own.loggers):
                shutil.rmtree(left, ignore_errors=True)
            for left in (own.sources, own.train_log):
                left.unlink(missing_ok=True)
            description.unlink(missing_ok=True)
            dataset = target.dataset
            environment = _environment(dataset, experiment)
            atomic_write_json(RunFolder(run).environment, environment)
            known = dataset.images, dataset.patients, dataset.digests
            save_folds(RunFolder(run).fold_table, *known, target.folds)
        write_experiment(description, experiment)
    except OSError as error:
        raise UserError(f"--out {run} can't be written: {error.strerror}.") from error


def _environment(dataset: PreparedDataset, experiment: Experiment) -> dict:
    packages = ["cxrkeras", "tensorflow", "keras", "numpy", "scikit-learn", "pandas"]
    if runtime.backend() == runtime.JAX:
        packages.append("jax")
    return {
        "data": experiment.fingerprint_of(dataset),
        "films": dataset.films,
        "linked_patients": linked_patients(dataset.root),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "backend": runtime.backend(),
        "threads": threads(),
        **{name: version(name) for name in packages},
    }


def check_data(run: Path, dataset: PreparedDataset, experiment: Experiment) -> None:
    """Check that the data are those with which the run was begun.

    Args:
        run: the run folder.
        dataset: the data.
        experiment: whose inputs and recipe may take more of them than images and labels.

    Raises:
        UserError: the prepared data have changed.
    """
    found = json.loads(RunFolder(run).environment.read_text(encoding="utf-8"))["data"]
    if found != experiment.fingerprint_of(dataset):
        more = *further(experiment.inputs), *experiment.columns, *experiment.files
        what = ", ".join(["labels", "patients", *more])
        raise UserError(
            f"The prepared data have changed since {run} was begun ({what} or pixels), "
            "or an earlier version began it. Give another --out, so that a run has one dataset."
        )


def check_backend(run: Path) -> None:
    """Check that Keras runs on the backend with which the run was begun.

    Raises:
        UserError: it runs on another backend, whose models start from other weights.
    """
    known = json.loads(RunFolder(run).environment.read_text(encoding="utf-8"))
    begun, now = known.get("backend", runtime.TENSORFLOW), runtime.backend()
    if begun != now:
        raise UserError(
            f"{run} was begun with Keras on {begun}, but this process uses {now}, whose models "
            f"start from other weights. Set KERAS_BACKEND={begun}, or give another --out."
        )


def threads_of(run: Path) -> int | None:
    """The threads of an operation with which the run was begun; None if it doesn't say."""
    return json.loads(RunFolder(run).environment.read_text(encoding="utf-8")).get("threads")


def check_sources(run: Path, origin: list) -> None:
    """Record what the trunks start from; on a later start, check that it is still the same.

    Args:
        run: the run folder.
        origin: what identifies the start of each trunk, as JSON.

    Raises:
        UserError: a source has changed since a fold was finished.
    """
    path = RunFolder(run).sources
    finished = any(RunFolder(run).finished_folds())
    if finished and path.is_file() and json.loads(path.read_text(encoding="utf-8")) != origin:
        raise UserError(
            f"A source's data or weights have changed since {run} was begun. Give another --out, "
            "so that all folds start from the same weights."
        )
    atomic_write_json(path, origin)


def check_format(run: Path, wanted: int) -> None:
    """Check that the finished folds were trained in the same way as the remaining ones will be.

    Args:
        run: the run folder.
        wanted: `stages.plan.FORMAT`; an old `fold.json` has none.

    Raises:
        UserError: they were trained differently.
    """
    for fold in RunFolder(run).finished_folds():
        if json.loads(fold.facts.read_text(encoding="utf-8")).get("format") != wanted:
            raise UserError(
                f"{run} was fitted by an older cxrkeras, which trained differently, so no further "
                "model can be added. Give `cxrkeras cv` another --out."
            )


def is_finished(run: Path, fold: int) -> bool:
    """Whether a fold is complete: its `fold.json` is written last."""
    return RunFolder(run).fold(fold).facts.is_file()


def save_fold(
    run: Path,
    fold: int,
    target: Target,
    probabilities: np.ndarray,
    history: pd.DataFrame,
    facts: dict,
    *,
    branches: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> None:
    """Write a fold's tables; `fold.json` comes last and marks the fold as complete.

    Args:
        run: the run folder.
        fold: its number.
        target: the data.
        probabilities: (n, K) for the images held out by the fold or as the test set, in the
            target's order (see `held_out_rows`).
        history: of the training.
        facts: what `fold.json` holds.
        branches: as `probabilities`, of what was trained on the way, by name.
    """
    folder = RunFolder(run).fold(fold)
    rows = held_out_rows(target, fold)
    tested = target.folds[rows] == TEST
    for path, part in ((folder.predictions, ~tested), (folder.test_predictions, tested)):
        if part.any():
            write_predictions(path, predictions_of(target, rows[part], probabilities[part]))
    for name, scores in branches.items():
        own = predictions_of(target, rows[~tested], scores[~tested])
        write_predictions(folder.branch(name), own)
    write_table(folder.history, history)
    atomic_write_json(folder.facts, facts)


def held_out_rows(target: Target, fold: int) -> np.ndarray:
    """The rows of the target that a fold's model predicts: the fold's and the test set's."""
    return np.flatnonzero(np.isin(target.folds, (fold, TEST)))


def gather(run: Path, target: Target) -> None:
    """Combine the folds' predictions in the dataset's order, averaging those of the test set."""
    folders = [RunFolder(run).fold(fold) for fold in target.fold_numbers]
    _join(target, [folder.predictions for folder in folders], RunFolder(run).predictions)
    for name in folders[0].branches:
        _join(target, [folder.branch(name) for folder in folders], RunFolder(run).branch(name))
    if (target.folds == TEST).any():
        tests = [read_predictions(folder.test_predictions) for folder in folders]
        mean = np.mean([test.prob for test in tests], axis=0)
        write_predictions(RunFolder(run).test_predictions, replace(tests[0], prob=mean))


def _join(target: Target, paths: Sequence[Path], whole: Path) -> None:
    """Write the folds' predictions as one table."""
    parts = [read_predictions(path) for path in paths]
    row_of = {image: row for row, image in enumerate(target.dataset.images)}
    rows = np.array([row_of[image] for part in parts for image in part.images])
    order = np.argsort(rows)
    probabilities = np.concatenate([part.prob for part in parts])
    write_predictions(whole, predictions_of(target, rows[order], probabilities[order]))


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV in one step; floats have 9 significant digits: a float32 reads back equal."""
    atomic_write_text(path, frame_as_csv(table, float_format="%.9g"))


def predictions_of(target: Target, rows: np.ndarray, probabilities: np.ndarray) -> Predictions:
    """A table of some rows of the target: their (n, K) probabilities and the truth."""
    dataset, folds = target.dataset, target.folds[rows]
    return Predictions(
        images=tuple(dataset.images[rows].tolist()),
        patients=tuple(dataset.patients[rows].tolist()),
        folds=tuple(TEST_FOLD if fold == TEST else str(fold) for fold in folds),
        labels=dataset.labels,
        prob=probabilities,
        truth=np.where(target.truth == MASKED, np.nan, target.truth)[rows],
    )
