"""Cross-validation: what is missing of a run is fitted, and its evidence put together."""

from pathlib import Path

from cxrkeras.data.fold_files import save_folds
from cxrkeras.data.folds import fold_warnings
from cxrkeras.evaluation.evidence import write_metrics
from cxrkeras.evaluation.report import write_report
from cxrkeras.models.methods import make_plan
from cxrkeras.training.experiment import Experiment
from cxrkeras.training.run_folder import check_environment, claim, gather, is_finished
from cxrkeras.training.say import say
from cxrkeras.training.target import Target, load_target


def cross_validate(experiment: Experiment, run: Path) -> dict:
    """Run an experiment, or what is missing of it, into a run folder.

    Args:
        experiment: with `data` given.
        run: the folder; what an earlier, killed run finished there is kept.

    Returns:
        What `metrics.json` holds.

    Raises:
        UserError: for data, sources or settings that can't be used, or a folder of another run.
    """
    plan = make_plan(experiment.method, experiment.backbone, experiment.source)
    target = _open(experiment, run)
    missing = [fold for fold in target.fold_numbers if not is_finished(run, fold)]
    if missing:
        # Keras is imported only where something is left to fit.
        from cxrkeras.training.fold_fit import fit_folds

        fit_folds(plan, experiment, target, run, missing)
    else:
        say(f"all {len(target.fold_numbers)} folds are finished; nothing is fitted again")
    gather(run, target)
    metrics = write_metrics(run)
    write_report(run)
    return metrics


def _open(experiment: Experiment, run: Path) -> Target:
    folds = run / "folds.csv"
    begun = folds.is_file()
    given = Path(experiment.folds_file) if experiment.folds_file else None
    target = load_target(experiment, folds if begun else given)
    dataset = target.dataset
    claim(run, experiment)
    check_environment(run, dataset)
    if not begun:
        save_folds(folds, dataset.images, dataset.patients, target.folds)
    for warning in fold_warnings(
        target.truth, dataset.patients, dataset.labels, len(target.fold_numbers)
    ):
        say(f"Warning: {warning}")
    return target
