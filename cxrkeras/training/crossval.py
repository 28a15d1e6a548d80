"""Cross-validation: fits what is missing of a run, and gathers its evidence."""

from functools import partial
from itertools import chain
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
from cxrkeras.runs.folder import begin, check_data, gather, is_finished, threads_of
from cxrkeras.runs.sources import check_there
from cxrkeras.runs.starts import is_begun, is_open, note_end, note_start
from cxrkeras.runs.target import Target, as_used, check_folds, check_uncertain, load_target
from cxrkeras.runtime.threads import threads, use_threads
from cxrkeras.training.plan import Plan, resolve
from cxrkeras.training.watching.watch import watched
from data_prep.errors import UserError
from data_prep.executors import Executor
from data_prep.executors.local import Part as Local
from data_prep.say import logged, note, say

_HERE = Local()


def cross_validate(experiment: Experiment, run: Path, executor: Executor = _HERE) -> dict:
    """Run an experiment into a run folder, or complete it.

    Args:
        experiment: the description; its `data` must be given.
        run: the folder; what an earlier run finished there is kept.
        executor: where the folds are fitted, with the same result.

    Returns:
        The contents of `metrics.json`.

    Raises:
        UserError: data, sources or settings can't be used, or the folder holds another run.
    """
    runtime.backend()  # an unsupported one is refused before anything is read or written
    experiment = experiment.located()
    plan = resolve(experiment)
    with watched(experiment, run) as watch, logged(RunFolder(run).train_log) as log:
        target, missing = _open(experiment, run, executor)
        if missing or is_open(run):  # a kill after the last fold left the scores to be logged
            log.open()
            watch.open()
        if missing:
            if experiment.fast:
                say("--fast: if this run is resumed or repeated, its numbers differ slightly")
            note_start(run, here=not executor.spreads)
            _fit(executor, plan, target, run, missing)
        else:
            said = f"all {len(target.fold_numbers)} folds are finished already"
            say(f"{said}; nothing is fitted again")
        gather(run, target)
        metrics = write_metrics(run)
        write_operating_points(run)
        note_end(run)
        write_report(run)
        watch.results(metrics)
        note(f"finished: macro AUROC {metrics['macro']['pooled']['auroc']}")
    return metrics


def _fit(executor: Executor, plan: Plan, target: Target, run: Path, missing: list[int]) -> None:
    if plan.experiment.seeds > 1:
        from cxrkeras.training.seeds import fit_each

        fit_each(plan.experiment, run, missing, partial(cross_validate, executor=executor))
    elif executor.spreads:
        from cxrkeras.training.spread import spread_folds

        spread_folds(executor, plan, target, run, missing)
    else:
        from cxrkeras.training.folds import fit_folds

        fit_folds(plan, target, run, missing)


def _open(
    experiment: Experiment, run: Path, executor: Executor = _HERE
) -> tuple[Target, list[int]]:
    """The target and the folds that are left to fit, in a run folder that was begun.

    Everything is read and started first, so that what can't be used leaves no run folder behind.
    """
    begun = is_begun(run, experiment)
    dataset = open_dataset(Path(experiment.data), experiment.labels_of())
    if begun:
        check_data(run, dataset, experiment)
    else:
        check_uncertain(experiment)
    target = load_target(experiment, dataset, _folds_file(experiment, dataset, run, begun))
    if not begun:
        check_folds(experiment, target)
    missing = [f for f in target.fold_numbers if not (begun and is_finished(run, f))]
    if missing:
        for link in (*chain.from_iterable(experiment.chains), *experiment.source_datasets):
            check_there(link)
        # Keras takes seconds to import, so only if something is left to fit.
        use_threads(threads_of(run) if begun else threads())
        # Tasks look for their devices themselves, where they are.
        runtime.start(fast=experiment.fast, devices=1 if executor.spreads else experiment.devices)
    begin(run, as_used(experiment, target), target, begun=begun)
    for warning in fold_warnings(
        target.truth, dataset.patients, dataset.labels, len(target.fold_numbers)
    ):
        say(f"Warning: {warning}")
    return target, missing


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
