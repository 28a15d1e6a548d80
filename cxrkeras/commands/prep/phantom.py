"""`cxrkeras prep phantom`: the built-in data."""

from pathlib import Path

import click

from cxrkeras.commands.prep.options import FOLDER, verify
from cxrkeras.commands.prep.report import report
from cxrkeras.commands.shared.helping import Verb


@click.command("phantom", cls=Verb)
@click.option("--out", type=FOLDER, required=True, help="New folder.")
@click.option("--patients", type=click.IntRange(1), default=120, show_default=True)
@click.option(
    "--source-patients",
    type=click.IntRange(1),
    help="Patients of each source hospital. [default: as --patients]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--image-size",
    "size",
    type=click.IntRange(32, 2048),
    default=512,
    show_default=True,
    help="Side of the images, in pixels.",
)
@verify
@click.option("--workers", type=click.IntRange(0), help="Processes. [default: one per core]")
def phantom_command(out: Path, **options) -> None:
    """Synthetic chest radiographs of three hospitals: DICOM with boxes, and prepared.

    --verify takes the settings of a folder that is there from the folder.

    \b
    Examples:
      cxrkeras prep phantom --out data/phantom
      cxrkeras prep phantom --out data/small --patients 30 --image-size 128
    """
    from data_prep.dataset.prepare import summary
    from data_prep.phantom.builtin import builtin_datasets

    folders = builtin_datasets(out, **options)
    for folder in folders:
        report(summary(folder))
    target, first, second = folders
    click.echo(
        f"\nNext: cxrkeras cv --data {target} --source a={first} --source b={second} "
        "--method cotrain"
    )
