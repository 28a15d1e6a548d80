"""`cxrkeras prep`: raw DICOM, images and tables -> a prepared dataset."""

from collections.abc import Callable
from pathlib import Path

import click

_RASTER = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
COLUMN_ROLES = ("image", "patient", "study", "sex", "age", "view", "split")


@click.group("prep")
def command() -> None:
    """Prepare raw DICOM, images and tables into a dataset to train on.

    Each verb may be stopped or killed at any moment: the same command then goes on. A file that
    can't be used never stops the run; it stands in rejected.csv with the reason.

    \b
    Example:
      cxrkeras prep table --images DIR --labels labels.csv --out data/ours
    """


def _options(*options: Callable) -> Callable:
    def decorate(function: Callable) -> Callable:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_folder = click.Path(path_type=Path, file_okay=False)
_file = click.Path(path_type=Path, dir_okay=False)

_input = _options(
    click.option("--images", type=_folder, required=True, help="Folder of DICOM, PNG, JPEG, TIFF."),
    click.option("--out", type=_folder, required=True, help="New folder for the dataset."),
    click.option("--name", help="Name of the dataset. [default: the name of --out]"),
    click.option("--citation", default="", help="What to cite for these data."),
    click.option("--encoding", help="Encoding of the table, if it isn't found out (e.g. gb18030)."),
    *(
        click.option(f"--{role}-column", help=f"Column of the table with the {role}.")
        for role in COLUMN_ROLES
    ),
)
_output = _options(
    click.option(
        "--size",
        type=click.IntRange(16, 4096),
        default=512,
        show_default=True,
        help="Side of the prepared square images, pixels.",
    ),
    click.option("--pad", is_flag=True, help="Keep the aspect: pad to a square, don't stretch."),
    click.option(
        "--stretch",
        type=float,
        nargs=2,
        metavar="LOW HIGH",
        help="Percentiles that become black and white, e.g. 0.5 99.5.",
    ),
    click.option(
        "--any-body-part",
        is_flag=True,
        help="Take DICOM files whose header names another body part.",
    ),
    click.option(
        "--near/--no-near",
        default=True,
        show_default=True,
        help="Look for near-duplicates too (re-encoded, resized, slightly cropped copies).",
    ),
)
_privacy = _options(
    click.option(
        "--key-file",
        type=_file,
        help="Secret key of the pseudonyms; made if absent. "
        "[default: $CXRKERAS_KEY_FILE, or identity.key in your config folder]",
    ),
    click.option(
        "--public",
        is_flag=True,
        help="A public archive: keep patient, study and image identifiers as they are.",
    ),
    click.option(
        "--hash-names",
        is_flag=True,
        help="Name images that aren't DICOM by keyed hashes too (DICOM always are).",
    ),
    click.option(
        "--linkage",
        type=_file,
        help="Private file, outside --out, telling which file became which image.",
    ),
    click.option("--workers", type=click.IntRange(0), help="Processes. [default: one per core]"),
)


@command.command("table")
@_input
@click.option(
    "--labels", "table", type=_file, required=True, help="CSV or TSV with one header line."
)
@click.option("--labels-from", metavar="COLUMNS", help="The 0/1 columns, separated by commas.")
@click.option("--findings-column", help="The column of findings like 'Mass|Effusion'.")
@_output
@_privacy
def table_command(labels_from: str | None, findings_column: str | None, **options) -> None:
    """Any folder of images or DICOM, and any table of their labels.

    The table has one row per image, with 0/1 columns (1, 0, -1 uncertain, blank not mentioned) or
    one column of findings like 'Mass|Effusion'. Images are found by relative path, file name, name
    without suffix or SOPInstanceUID. Which column was taken for what is printed; every choice can
    be overridden.

    Patients become keyed hashes, and DICOM images are named by keyed hashes. Files that aren't
    DICOM keep their names: give --hash-names where those tell who it is. rejected.csv and
    duplicates.csv name files as they are called.

    \b
    Examples:
      cxrkeras prep table --images films --labels labels.csv --out data/ours
      cxrkeras prep table --images films --labels l.csv --out data/ours \\
          --patient-column MRN --labels-from "Effusion,Nodule"
      cxrkeras prep table --images nih/images --labels Data_Entry_2017_v2020.csv \\
          --out data/nih --public --size 256
    """
    from data_prep.readers.table import table_source

    columns = [name.strip() for name in labels_from.split(",")] if labels_from else None
    _run(table_source, options, labels_from=columns, findings=findings_column)


@command.command("eda")
@_input
@click.option(
    "--table", type=_file, required=True, help="CSV or TSV: rows of (image, sub-finding)."
)
@click.option("--finding-column", help="The column of sub-findings.")
@click.option("--include-normal", is_flag=True, help="An eighth label: normal.")
@click.option(
    "--keep-pacemaker",
    is_flag=True,
    help="Keep images with nothing but a pacemaker, as all-zero rows.",
)
@_output
@_privacy
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

    _run(
        eda_source,
        options,
        finding_column=finding_column,
        include_normal=include_normal,
        keep_pacemaker=keep_pacemaker,
    )


@command.command("phantom")
@click.option("--out", type=_folder, required=True, help="New folder.")
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
@click.option("--workers", type=click.IntRange(0), help="Processes. [default: one per core]")
def phantom_command(out: Path, **options) -> None:
    """Synthetic chest radiographs of three hospitals: DICOM with boxes, and prepared.

    \b
    Examples:
      cxrkeras prep phantom --out data/phantom
      cxrkeras prep phantom --out data/small --patients 30 --size 128
    """
    from data_prep.builtin import builtin_datasets
    from data_prep.prepare import summary

    folders = builtin_datasets(out, **options)
    for folder in folders:
        done = summary(folder)
        _report(done, told=len(done.description["notes"]))
    target, first, second = folders
    click.echo(
        f"\nNext: cxrkeras cv --data {target} --source a={first} --source b={second} "
        "--method cotrain"
    )


def _run(reader: Callable, options: dict, **choices) -> None:
    """Read, say what was understood, prepare, say what came out."""
    from dataclasses import replace

    from data_prep.prepare import prepare
    from data_prep.readers.rows import Choice

    choice = Choice(**{role: options.pop(f"{role}_column") for role in COLUMN_ROLES})
    images, table, out = options.pop("images"), options.pop("table"), options["out"]
    _check_folders(images, out)
    _check_stretch(options["stretch"])
    reading = {name: options.pop(name) for name in ("name", "encoding")}
    reading["name"] = reading["name"] or out.resolve().name
    source = reader(images, table, choice=choice, **reading, **choices)
    source = replace(source, citation=options.pop("citation"))
    for note in source.notes:
        click.echo(note)
    key = _key(options.pop("key_file"), options["public"], out)
    if not options["public"] and not options["hash_names"]:
        _tell_names(source)
    _report(prepare(source, key=key, **options), told=len(source.notes))
    click.echo(f"\nNext: cxrkeras cv --data {out} --source imagenet")


def _key(path: Path | None, public: bool, out: Path) -> bytes:
    """The key of the pseudonyms; a public archive needs no secret, and so is alike anywhere."""
    from data_prep.errors import UserError
    from data_prep.identity import default_key_file, load_key

    if public:
        return b"cxrkeras: a public archive"
    path = path or default_key_file()
    if path.resolve().is_relative_to(out.resolve()):
        raise UserError(f"The key file {path} would lie inside the dataset. Give a place outside.")
    key = load_key(path)
    click.echo(f"patients become pseudonyms under the key {path} (keep it, and keep it secret)")
    return key


def _tell_names(source) -> None:
    if any(record.path.suffix.lower() in _RASTER for record in source.records):
        click.echo(
            "images that aren't DICOM keep their file names "
            "(--hash-names, if those identify patients)"
        )


def _check_folders(images: Path, out: Path) -> None:
    from data_prep.errors import UserError

    if out.resolve().is_relative_to(images.resolve()):
        raise UserError(f"--out {out} lies inside --images: give a place outside that folder.")


def _check_stretch(stretch: tuple[float, float] | None) -> None:
    if stretch and not 0 <= stretch[0] < stretch[1] <= 100:
        raise click.UsageError(
            f"--stretch needs two percentiles, 0 <= LOW < HIGH <= 100; received {stretch[0]:g} "
            f"{stretch[1]:g}."
        )


def _report(summary, told: int) -> None:
    """The counts of a prepared dataset, its notes but for the first `told`, and where it lies."""
    from data_prep.publish import WARNING

    counts = summary.description["counts"]
    state = "already prepared, nothing done" if summary.already else "prepared"
    click.echo(
        f"\n{summary.out}: {state}: {counts['images']} images of {counts['patients']} patients"
    )
    _tally("rejected", summary.rejected, "rejected.csv")
    _tally("duplicates", summary.duplicates, "duplicates.csv")
    for note in summary.description["notes"][told:]:
        click.secho(f"  {note}", fg="yellow" if note.startswith(WARNING) else None)
    width = max(map(len, counts["per_label"]), default=0)
    click.echo(f"  {'label':<{width}}  positive  negative  uncertain  not mentioned")
    for label, n in counts["per_label"].items():
        click.echo(f"  {label:<{width}}  {n['1']:8}  {n['0']:8}  {n['-1']:9}  {n['']:13}")


def _tally(what: str, counts, file: str) -> None:
    if not counts:
        return
    click.echo(f"  {what}: {sum(counts.values())} (in {file})")
    for reason, count in counts.most_common():
        click.echo(f"    {count:6}  {reason}")
