"""`cxrkeras prep`: raw DICOM, images and tables -> a prepared dataset."""

from pathlib import Path

import click

from cxrkeras.commands.prep.archives import chexpert_command, nih_command
from cxrkeras.commands.prep.options import (
    FILE,
    FOLDER,
    exclude,
    picture,
    privacy,
    reading,
    sample,
    table_input,
    verify,
    views,
)
from cxrkeras.commands.prep.run import prepare_table, report


@click.group("prep")
def command() -> None:
    """Prepare raw DICOM, images and tables into a dataset to train on.

    Each verb may be stopped or killed at any moment: the same command then goes on. A file that
    can't be used never stops the run; it stands in rejected.csv with the reason. Of a finished
    dataset, the same command makes again images that are missing, and with --verify those that are
    damaged.

    \b
    Examples:
      cxrkeras prep table --images DIR --labels labels.csv --out data/ours
      cxrkeras prep nih ChestXray-NIHCC --out data/nih
      cxrkeras prep chexpert CheXpert-v1.0-small --out data/chexpert --size 320
    """


command.add_command(nih_command)
command.add_command(chexpert_command)


@command.command("table")
@table_input
@click.option(
    "--labels", "table", type=FILE, required=True, help="CSV or TSV with one header line."
)
@click.option("--labels-from", metavar="COLUMNS", help="The label columns, separated by commas.")
@click.option("--findings-column", help="The column of findings like 'Mass|Effusion'.")
@views("all")
@exclude
@sample
@picture
@privacy
@verify
@reading
def table_command(labels_from: str | None, findings_column: str | None, **options) -> None:
    """Any folder of images or DICOM, and any table of their labels.

    The table has one row per image, with 0/1 columns (1, 0, -1 uncertain, blank not mentioned; or
    yes and no throughout) or one column of findings like 'Mass|Effusion'. Images are found by
    relative path, file name, name without suffix or SOPInstanceUID. Which column was taken for what
    is printed; every choice can be overridden.

    Patients become keyed hashes, and DICOM images are named by keyed hashes. Files that aren't
    DICOM keep their names: give --hash-names where those tell who it is. rejected.csv and
    duplicates.csv name files as they are called.

    \b
    Examples:
      cxrkeras prep table --images films --labels labels.csv --out data/ours
      cxrkeras prep table --images films --labels l.csv --out data/ours \\
          --patient-column MRN --labels-from "Effusion,Nodule"
      cxrkeras prep table --images films --labels l.csv --out data/try --limit 500
    """
    from data_prep.readers.table import table_source

    columns = [name.strip() for name in labels_from.split(",")] if labels_from else None
    prepare_table(table_source, options, labels_from=columns, findings=findings_column)


@command.command("eda")
@table_input
@click.option("--table", type=FILE, required=True, help="CSV or TSV: rows of (image, sub-finding).")
@click.option("--finding-column", help="The column of sub-findings.")
@click.option("--include-normal", is_flag=True, help="An eighth label: normal.")
@click.option(
    "--keep-pacemaker",
    is_flag=True,
    help="Keep images with nothing but a pacemaker, as all-zero rows.",
)
@views("all")
@exclude
@sample
@picture
@privacy
@verify
@reading
def eda_command(
    finding_column: str | None, include_normal: bool, keep_pacemaker: bool, **options
) -> None:
    """The study's layout: DICOM files, and a table of one row per (image, sub-finding).

    19 sub-findings are merged to the study's categories: seven labels; normal is the all-zero row
    and the pacemaker is dropped. Several rows of one image are OR-ed into one.

    \b
    Examples:
      cxrkeras prep eda --images dicom --table findings.csv --out data/eda
      cxrkeras prep eda --images dicom --table findings.csv --out data/eda8 --include-normal
    """
    from data_prep.readers.eda import eda_source

    prepare_table(
        eda_source,
        options,
        finding_column=finding_column,
        include_normal=include_normal,
        keep_pacemaker=keep_pacemaker,
    )


@command.command("phantom")
@click.option("--out", type=FOLDER, required=True, help="New folder.")
@click.option("--patients", type=click.IntRange(1), default=120, show_default=True)
@click.option("--source-patients", type=click.IntRange(1), help="[default: as --patients]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--size",
    type=click.IntRange(32, 2048),
    default=512,
    show_default=True,
    help="Side of the images, pixels.",
)
@verify
@click.option("--workers", type=click.IntRange(0), help="Processes. [default: one per core]")
def phantom_command(out: Path, **options) -> None:
    """Synthetic chest radiographs of three hospitals: DICOM with boxes, and prepared.

    --verify takes the settings of a folder that is there from the folder.

    \b
    Examples:
      cxrkeras prep phantom --out data/phantom
      cxrkeras prep phantom --out data/small --patients 30 --size 128
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
