"""`cxrkeras cv`: one way of transferring, cross-validated."""

from pathlib import Path
from typing import Any

import click

from cxrkeras.commands.shared.options import SectionedCommand, chosen, experiment_options
from cxrkeras.runs.builtin_data import with_builtin_data
from cxrkeras.runs.experiment import Experiment
from data_prep.errors import UserError


@click.command(cls=SectionedCommand)
@experiment_options()
@click.option("--config", type=click.Path(path_type=Path), help="TOML with these options as keys.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder [default: runs/NAME].")
def command(config: Path | None, out: Path | None, **options: Any) -> None:
    """Cross-validate one way of transferring: models, predictions, metrics and a report.

    Every run can be stopped or killed at any moment; the same command goes on from there. Source
    stages are trained once and reused by later runs.

    \b
    Examples:
      cxrkeras cv --backbone densenet121 --method cotrain        # the built-in phantoms
      cxrkeras cv --data data/ours --source imagenet
      cxrkeras cv --data data/ours --source imagenet,nih=data/nih --image-size 256
      cxrkeras cv --data data/ours --method mixed --source imagenet --source nih=data/nih
      cxrkeras cv --data data/ours --method cotrain --source nih=data/nih --source chex=data/chex
      cxrkeras cv --data data/ours --source trunk.keras --reuse layers --shuffle-labels
    """
    from cxrkeras.runs.experiment import make_experiment, read_choices

    given = chosen(options)
    choices = {**(read_choices(config) if config else {}), **given}
    if "folds_file" in choices and not given.keys().isdisjoint(("folds", "test_fraction")):
        raise click.UsageError(
            "--folds-file says how many folds there are and what is held out: leave --folds and "
            "--test-fraction out, or --folds-file."
        )
    _check(make_experiment(choices))  # what is wrong is said before anything is made
    experiment = make_experiment(with_builtin_data(choices, _phantoms)).located()
    run = out or Path("runs") / _name(experiment)
    from cxrkeras.training.crossval import cross_validate

    _close(cross_validate(experiment, run), run, shuffled=experiment.shuffle_labels)


def _check(experiment: Experiment) -> None:
    from cxrkeras.runs.transfer import check_frozen, make_plan

    if not (experiment.data or experiment.source or experiment.method != "cotrain"):
        return  # the built-in data bring cotrain's sources
    plan = make_plan(experiment.method, experiment.backbone, experiment.source)
    if experiment.reuse == "layers" and not experiment.random_trunk:
        try:
            check_frozen(plan)
        except UserError as error:
            raise click.UsageError(str(error)) from error


def _phantoms() -> tuple[Path, Path, Path]:
    from cxrkeras.training.stages.cache import cache_folder
    from data_prep.phantom.builtin import builtin_datasets

    return builtin_datasets(
        cache_folder() / "phantoms-3", patients=120, source_patients=240, size=256
    )


def _name(experiment: Experiment) -> str:
    trunks = "-".join(experiment.backbone)
    return f"{trunks}-{experiment.method}-{experiment.digest}"


def _close(metrics: dict, run: Path, *, shuffled: bool) -> None:
    from cxrkeras.evaluation.report.narrative import warnings

    macro = metrics["macro"]
    pooled, folds = macro["pooled"]["auroc"], macro["over_folds"]["auroc"]
    interval = macro["pooled"].get("auroc_interval")
    within = f" (95% {interval['low']:.3f} to {interval['high']:.3f})" if interval else ""
    click.echo(
        f"Macro AUROC: {_said(pooled)} pooled out-of-fold{within}, "
        f"{_said(folds['mean'])} ± {_said(folds['sd'])} over {folds['folds']} folds"
    )
    for warning in warnings(metrics, shuffled=shuffled):
        click.echo(f"Before you believe a number: {warning}")
    click.echo(f"Report: {run / 'report.html'}")
    click.echo(f"Predictions: {run / 'predictions.csv'}")
    click.echo(f"\nNext: cxrkeras predict {run} FILES, or cxrkeras train --run {run} --out MODEL")


def _said(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"  # none: no label could be scored
