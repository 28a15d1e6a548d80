"""`cxrkeras report`: write a finished run's report again."""

from pathlib import Path

import click

from cxrkeras.commands.shared.helping import Verb


@click.command(cls=Verb)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--open", "show", is_flag=True, help="Open each report in the browser.")
def command(runs: tuple[Path, ...], show: bool) -> None:
    """Rewrite the report of each RUN from its metrics.json and predictions.csv.

    \b
    Example:
      cxrkeras report runs/first runs/second
    """
    from cxrkeras.evaluation.report.run import write_report

    for run in runs:
        path = write_report(run)
        click.echo(f"Report: {path}")
        if show:
            click.launch(path.resolve().as_uri())
