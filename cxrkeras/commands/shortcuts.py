"""`cxrkeras shortcuts`: how much of a run's score needs no lungs."""

from pathlib import Path

import click

from cxrkeras.commands.shared.helping import Verb


@click.command(cls=Verb)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The prepared dataset, if it isn't where the run found it.",
)
def command(runs: tuple[Path, ...], data: Path | None) -> None:
    """Score what sees no lungs on each RUN's own folds, and add it to the report.

    Age, sex and view; the film's borders; a thumbnail of 8 x 8: a logistic regression learns from
    each, fold by fold. A model that is hardly better has learnt who is filmed, not what is seen.
    (`cxrkeras parts shortcut` lists them. Shuffled labels are cxrkeras cv --shuffle-labels.)

    \b
    Example:
      cxrkeras shortcuts runs/first
    """
    from cxrkeras.data.dataset import open_dataset
    from cxrkeras.evaluation.evidence.shortcuts import measure_shortcuts
    from cxrkeras.evaluation.report.run import write_report
    from cxrkeras.evaluation.run_folder import RunFolder
    from cxrkeras.runs.description import read_experiment
    from cxrkeras.runs.folder import check_data
    from data_prep.errors import UserError

    for run in runs:
        folder = RunFolder(run)
        if not folder.experiment.is_file() or not folder.metrics.is_file():
            raise UserError(f"Shortcuts need a finished run of cxrkeras cv. Received: {run}.")
        experiment = read_experiment(folder.experiment)
        dataset = open_dataset(data or Path(experiment.data), experiment.labels_of())
        check_data(run, dataset, experiment)
        told = measure_shortcuts(run, dataset.root)
        click.echo(f"{run}: macro AUROC of what sees no lungs, and how far it is from the run's")
        for name, one in told["shortcuts"].items():
            click.echo(f"  {name:<12} {_interval(one['auroc'])}  {_signed(one['below']['auroc'])}")
        click.echo(f"Report: {write_report(run)}")


def _interval(score: dict) -> str:
    if score["low"] is None:
        return "-" if score["value"] is None else f"{score['value']:.3f}"
    return f"{score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f})"


def _signed(score: dict) -> str:
    if score["low"] is None:
        return "-"
    return f"{score['value']:+.3f} ({score['low']:+.3f} to {score['high']:+.3f})"
