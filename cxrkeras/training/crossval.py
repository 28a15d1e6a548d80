"""Cross-validation: fits what is missing of a run, and gathers its evidence."""

from pathlib import Path

import numpy as np

from cxrkeras import runtime
from cxrkeras.data.dataset import PreparedDataset, open_dataset
from cxrkeras.data.folds.files import load_folds
from cxrkeras.data.folds.folds import fold_warnings
from cxrkeras.evaluation.evidence.evidence import write_metrics
from cxrkeras.evaluation.evidence.out_of_fold import write_operating_points
from cxrkeras.evaluation.report.run import write_report
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.folder import begin, check_data, gather, is_begun, is_finished
from cxrkeras.runs.starts import note_end, note_start
from cxrkeras.runs.target import Target, as_used, check_folds, check_uncertain, load_target
from cxrkeras.training.plan import resolve
from data_prep.errors import UserError
from data_prep.say import say


def cross_validate(experiment: Experiment, run: Path) -> dict:
    """Run an experiment into a run folder, or complete it.

    Args:
        experiment: the description; its `data` must be given.
        run: the folder; what an earlier run finished there is kept.

    Returns:
        The contents of `metrics.json`.

    Raises:
        UserError: data, sources or settings can't be used, or the folder holds another run.
    """
    runtime.backend()  # an unsupported one is refused before anything is read or written
    experiment = experiment.located()
    plan = resolve(experiment)
    started = experiment.devices > 1
    if started:  # whether they are there is known only then, and nothing is written yet
        runtime.start(fast=experiment.fast, devices=experiment.devices)
    target = _open(experiment, run)
    missing = [fold for fold in target.fold_numbers if not is_finished(run, fold)]
    if missing:
        # Keras takes seconds to import, so only if something is left to fit.
        if not started:
            runtime.start(fast=experiment.fast)
        if experiment.fast:
            say("--fast: if this run is resumed or repeated, its numbers differ slightly")
        from cxrkeras.training.folds import fit_folds

        note_start(run)
        fit_folds(plan, target, run, missing)
    else:
        say(f"all {len(target.fold_numbers)} folds are finished already; nothing is fitted again")
    gather(run, target)
    metrics = write_metrics(run)
    write_operating_points(run)
    if missing:
        note_end(run)
    write_report(run)
    return metrics


def _open(experiment: Experiment, run: Path) -> Target:
    """Read everything first, so that unusable input leaves no run folder behind."""
    begun = is_begun(run, experiment)
    dataset = open_dataset(Path(experiment.data), experiment.labels_of())
    if begun:
        check_data(run, dataset, experiment.inputs)
    else:
        check_uncertain(experiment)
    target = load_target(experiment, dataset, _folds_file(experiment, dataset, run, begun))
    if not begun:
        check_folds(experiment, target)
    begin(run, as_used(experiment, target), target, begun=begun)
    for warning in fold_warnings(
        target.truth, dataset.patients, dataset.labels, len(target.fold_numbers)
    ):
        say(f"Warning: {warning}")
    return target


def _folds_file(
    experiment: Experiment, dataset: PreparedDataset, run: Path, begun: bool
) -> Path | None:
    own = RunFolder(run).fold_table
    given = Path(experiment.folds_file) if experiment.folds_file else None
    if not begun:
        return given
    if given and given.is_file():
        known = dataset.images, dataset.patients, dataset.digests
        if not np.array_equal(load_folds(given, *known), load_folds(own, *known)):
            raise UserError(
                f"{run} was begun with other folds than --folds-file {given}. Give another --out."
            )
    return own
