"""`cxrkeras suspects`: which labels of your table look wrong, for a person to check."""

from pathlib import Path

import click

from cxrkeras.commands.shared.helping import Verb
from cxrkeras.commands.shared.overwriting import overwrite as overwriting


@click.command(cls=Verb)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="New folder for CSV and page."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The prepared dataset, if it isn't where the run found it.",
)
@overwriting
def command(run: Path, out: Path, data: Path | None, overwrite: bool) -> None:
    """List the labels that RUN's out-of-fold scores contradict, the most suspect first.

    Confident learning (the package cleanlab, extra noise) expects so many entries of each label to
    be wrong. suspects.csv lists as many, films of a patient and copies of a film one after another;
    suspects.html shows the first of them with their films. No label is changed. The weaker the
    model, the more often it is the model that is wrong.

    \b
    Examples:
      cxrkeras suspects runs/first --out runs/first-suspects
      cxrkeras suspects runs/first --data data/moved --out checked --overwrite
    """
    from cxrkeras.evaluation.evidence.settings import data_of
    from cxrkeras.evaluation.suspects.find import find_suspects
    from cxrkeras.evaluation.suspects.report import is_suspects, write_suspects
    from data_prep.errors import UserError
    from data_prep.outputs import check_folder

    check_folder(out, "suspects", is_suspects, overwrite=overwrite)
    dataset = data or data_of(run)
    if dataset is None or not (dataset / "manifest.csv").is_file():
        if data:
            raise UserError(f"--data must be a prepared dataset. Received: {data}.")
        click.echo("The run's dataset isn't there: no films, and copies aren't known (see --data).")
        dataset = None
    found = find_suspects(run, dataset)
    for line in _lines(found):
        click.echo(line)
    click.echo(f"Page: {write_suspects(out, found, dataset, title=run.absolute().name)}")


def _lines(found) -> list[str]:
    width = max(20, *(len(label) for label in found.counts))
    lines = [f"{'label':<{width}} {'known':>7} {'present, looks absent':>22} "]
    lines[0] += f"{'absent, looks present':>22} {'listed':>7} {'AUROC':>6}"
    for label, c in found.counts.items():
        if c is None:
            lines.append(f"{label:<{width}} one class only")
            continue
        counts = f"{c['known']:>7,} {c['present']:>22,.0f} {c['absent']:>22,.0f}"
        lines.append(f"{label:<{width}} {counts} {c['listed']:>7,} {c['auroc']:>6.3f}")
    return lines
