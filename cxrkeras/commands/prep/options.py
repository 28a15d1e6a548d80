"""The options that the verbs of `cxrkeras prep` share."""

from collections.abc import Callable
from pathlib import Path

import click

from cxrkeras.commands.shared.executing import executing
from cxrkeras.commands.shared.film_options import admission, decoding_workers
from cxrkeras.commands.shared.helping import section
from cxrkeras.commands.shared.key_file import key_file
from data_prep.readers import VIEWS

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


def options(*options: Callable) -> Callable:
    """Several options as one decorator, in this order."""

    def decorate(function: Callable) -> Callable:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


to_folder = options(
    click.option("--out", type=FOLDER, required=True, help="New folder for the dataset."),
    click.option("--name", help="Name of the dataset. [default: the name of --out]"),
)
raw_folder = {
    True: click.argument("raw", type=FOLDER, metavar="ROOT"),
    False: click.option(
        "--images",
        "raw",
        type=FOLDER,
        required=True,
        help="Folder of DICOM, PNG, JPEG and TIFF files.",
    ),
}
"""Where the raw files are, for archives and for other data."""
sample = section(
    "A part of the data",
    options(
        click.option(
            "--limit",
            type=click.IntRange(1),
            metavar="N",
            help="Take only a sample of about N images: whole patients, drawn by --seed.",
        ),
        click.option(
            "--seed",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Random seed of the sample of --limit.",
        ),
    ),
)
findings = click.option(
    "--findings",
    default="own",
    show_default=True,
    metavar="own|ours|FILE",
    help="Names of the labels: the archive's own, those of the vocabulary that all archives share "
    "(labels of one meaning become one; what has no place there is left out), or the vocabulary "
    "with a TOML file of yours over it. `cxrkeras labels` shows both.",
)
exclude = click.option(
    "--exclude",
    type=FILE,
    multiple=True,
    help="List of images to leave out: one file name per line, no header. Repeatable.",
)
picture = section(
    "Images",
    options(
        click.option(
            "--image-size",
            "size",
            type=click.IntRange(16, 4096),
            default=512,
            show_default=True,
            help="Side of the prepared square images, in pixels.",
        ),
        click.option(
            "--pad",
            is_flag=True,
            help="Keep the aspect ratio: pad to a square instead of stretching to it.",
        ),
        click.option(
            "--stretch",
            type=float,
            nargs=2,
            metavar="LOW HIGH",
            help="Percentiles that become black and white, e.g. 0.5 99.5.",
        ),
        click.option(
            "--near/--no-near",
            default=True,
            show_default=True,
            help="Also look for near-duplicates (re-encoded, resized, slightly cropped copies).",
        ),
        click.option(
            "--merge-patients/--keep-patients",
            default=True,
            show_default=True,
            help="Treat two patient numbers that share a copy of one film as one person.",
        ),
    ),
)
reading = options(admission, decoding_workers, executing("files are prepared"))
verify = click.option(
    "--verify",
    is_flag=True,
    help="Read every image of a finished dataset, and restore what is damaged or missing.",
)


def views(default: str) -> Callable:
    """The option `--views` with this default."""
    return click.option(
        "--views",
        type=click.Choice(["frontal", "lateral", "all"]),
        default=default,
        show_default=True,
        help=VIEWS,
    )


privacy = section(
    "Privacy",
    options(
        key_file,
        click.option(
            "--public",
            is_flag=True,
            help="A public archive: keep patient, study and image identifiers as they are.",
        ),
        click.option(
            "--hash-names",
            is_flag=True,
            help="Also name images that aren't DICOM by keyed hashes (DICOM images always are).",
        ),
        click.option(
            "--linkage",
            type=FILE,
            help="Private file, outside --out, that records which file became which image.",
        ),
    ),
)
