"""`cxrkeras prep nih` and `prep chexpert`: public archives as they are downloaded."""

from pathlib import Path

import click

from cxrkeras.commands.prep.options import (
    FILE,
    FOLDER,
    exclude,
    picture,
    reading,
    sample,
    to_folder,
    verify,
    views,
)
from cxrkeras.commands.prep.run import prepare_archive

_root = click.argument("root", type=FOLDER)


@click.command("nih")
@_root
@to_folder
@click.option("--table", type=FILE, help="[default: Data_Entry_2017*.csv in ROOT]")
@click.option(
    "--adjudicated",
    type=FILE,
    help="Table of labels that readers agreed upon (YES, NO): prepare the images it names.",
)
@exclude
@sample
@picture
@verify
@reading
def nih_command(root: Path, table: Path | None, adjudicated: Path | None, **options) -> None:
    """ChestX-ray14 of the NIH Clinical Center: 112,120 films of 30,805 patients.

    ROOT holds Data_Entry_2017.csv (either release) and the images: images_001/images to
    images_012/images, one folder, or loose; a part of them will do. train_val_list.txt and
    test_list.txt beside the table become the column `split`, BBox_List_2017.csv becomes boxes.csv
    in pixels of the prepared images. Tables may be gzipped. Patient numbers are public and stay.

    Labels are those 14 of the archive, mined from reports; 'No Finding' is the all-zero row. Ages
    over 100 are errors of the first release: they are left blank and counted.

    --adjudicated makes an evaluation set of its own: Google's four findings, read by radiologists.
    `cxrkeras evaluate` scores its 'Nodule or mass' against the higher of Nodule and Mass.

    \b
    Download: https://nihcc.app.box.com/v/ChestXray-NIHCC
    Adjudicated labels: Majkowska et al., Radiology 2020
    Cite: Wang et al., ChestX-ray8, CVPR 2017, and the NIH Clinical Center

    \b
    Examples:
      cxrkeras prep nih ChestXray-NIHCC --out data/nih
      cxrkeras prep nih ChestXray-NIHCC --out data/nih-2k --limit 2000 --size 256
      cxrkeras prep nih ChestXray-NIHCC --out data/nih --exclude rotated.csv --exclude lateral.csv
      cxrkeras prep nih ChestXray-NIHCC --out data/nih-read --adjudicated four_findings.csv
    """
    from data_prep.readers.nih import nih_source

    prepare_archive(nih_source, root, options, table=table, adjudicated=adjudicated)
    out = options["out"]
    if adjudicated:
        click.echo(f"\nNext: cxrkeras evaluate --predictions FILE --labels {out} --out evaluation")
    else:
        click.echo(f"\nNext: cxrkeras pretrain --source imagenet,nih={out} --out trunks/nih")


@click.command("chexpert")
@_root
@to_folder
@click.option(
    "--table",
    "tables",
    type=FILE,
    multiple=True,
    help="May be given again. [default: train.csv, valid.csv, test.csv in ROOT, those there are]",
)
@click.option(
    "--labels",
    type=click.Choice(["chexpert14", "chexpert5"]),
    default="chexpert14",
    show_default=True,
    help="Labels to keep: all, or the competition's five.",
)
@views("frontal")
@sample
@picture
@verify
@reading
def chexpert_command(root: Path, tables: tuple[Path, ...], labels: str, views: str, **options):
    """CheXpert of Stanford: 223,414 films of 64,540 patients to train on, 234 and 668 to test.

    ROOT is CheXpert-v1.0 or CheXpert-v1.0-small, or the folder that holds it; a part of the images
    will do. train.csv, valid.csv and the test set's table (per film, or one row per study) become
    train, valid and test in the column `split`. Patient and study come from the path and stay.

    The codes stay as they are: 1, 0, -1 uncertain, blank not mentioned. What uncertain and blank
    mean is chosen in training and evaluation (--uncertain, --blank). Tables that others re-headed
    (underscores, foreign paths) or labelled anew (CheXbert) are taken with --table.

    \b
    Download: https://stanfordmlgroup.github.io/competitions/chexpert/
    Cite: Irvin et al., CheXpert, AAAI 2019

    \b
    Examples:
      cxrkeras prep chexpert CheXpert-v1.0-small --out data/chexpert --size 320
      cxrkeras prep chexpert CheXpert-v1.0 --out data/chexpert5 --labels chexpert5
      cxrkeras prep chexpert CheXpert-v1.0 --out data/valid \\
          --table CheXpert-v1.0/valid.csv --views all
    """
    from data_prep.readers.chexpert import chexpert_source

    prepare_archive(chexpert_source, root, options, tables=tables, labels=labels, views=views)
    click.echo(
        f"\nNext: cxrkeras pretrain --source imagenet,chexpert={options['out']} "
        "--out trunks/chexpert"
    )
