"""`cxrkeras explain`: where in an image a label's score comes from."""

from pathlib import Path

import click

from cxrkeras.commands.shared.film_options import admission, decoding_workers, table_of_inputs
from cxrkeras.commands.shared.helping import Verb
from cxrkeras.commands.shared.key_file import key_file
from cxrkeras.commands.shared.numbers import Finite
from cxrkeras.commands.shared.operating_point import operating_point, rule_of
from cxrkeras.commands.shared.overwriting import overwrite
from cxrkeras.serving.explain import DEFAULT_MAP, MAPS
from data_prep.filenames import printable
from data_prep.outputs import check_folder

_SHOWN = 12  # refused files listed on the terminal; all of them are in rejected.csv

_MAIN = ("out", "data", "map", "labels", "operating-point", "boxes", "table", "overwrite")


@click.command(cls=Verb, shown=_MAIN)
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL_OR_RUN")
@click.argument("files", nargs=-1, metavar="[FILES...]")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="New folder for the results."
)
@overwrite
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Explain a prepared dataset's images instead of FILES.",
)
@click.option(
    "--map",
    "method",
    type=click.Choice(MAPS),
    help=f"Kind of heat map. [default: {DEFAULT_MAP}]",
)
@click.option(
    "--labels",
    "wanted",
    default="positive",
    show_default=True,
    metavar="WHICH",
    help="Labels to draw: positive (above the operating point), all, top3 (the three whose odds "
    "are the highest multiple of their operating point's), or names joined by commas.",
)
@operating_point("Threshold above which a label is positive, as for `cxrkeras predict`.")
@click.option(
    "--opacity",
    type=Finite(0, 1),
    default=0.6,
    show_default=True,
    help="Opacity of a map's highest value over the film.",
)
@click.option(
    "--pictures/--no-pictures", default=True, help="Draw pictures, or write only tables and maps."
)
@click.option(
    "--dicom",
    is_flag=True,
    help="Write the pictures of DICOM films as DICOM Secondary Captures too, under the film's "
    "patient and study (extra dicom).",
)
@click.option(
    "--boxes",
    type=click.Path(path_type=Path),
    help="Known boxes to score against: image,label,x,y,width,height in pixels of the prepared "
    "images, or NIH's BBox_List_2017.csv. [default: boxes.csv of --data]",
)
@table_of_inputs
@click.option("--only-boxed", is_flag=True, help="Explain only images with known boxes.")
@click.option(
    "--tolerance",
    type=Finite(0),
    default=0.0,
    show_default=True,
    help="Pixels around a box that still count as hits in the pointing game.",
)
@click.option(
    "--randomisation-check",
    is_flag=True,
    help="Randomise the top layers' weights, which must change the maps.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed of that check.")
@key_file
@admission
@decoding_workers
def command(model: Path, files: tuple[str, ...], out: Path, rule: str | None, **how) -> None:
    """Make heat maps for FILES: overlays, sheets, raw maps, boxes; scored if boxes are known.

    MODEL_OR_RUN is a model folder or a run of `cxrkeras cv`, whose folds are averaged. The run's
    own images are explained out of fold, by the one model that hasn't seen them. Files that can't
    be read are listed, and the rest are processed. Pictures and maps of a DICOM file are named by a
    keyed hash, as `cxrkeras prep` names its image; explained.csv says which is which. What a model
    takes beside the image (age, sex, view) is held at what the header, --table or the dataset tells
    of a film. Not for clinical use.

    \b
    Examples:
      cxrkeras explain runs/first film.dcm --out why
      cxrkeras explain runs/first films/ --labels top3 --map gradcam++ --out why
      cxrkeras explain runs/first films/ --table patients.csv --out why
      cxrkeras explain runs/first films/ --labels top3 --out why --dicom
      cxrkeras explain runs/first --data data/ours --no-pictures --out why --randomisation-check
      cxrkeras explain runs/first --data data/nih --boxes BBox_List_2017.csv --only-boxed --out why
    """
    if bool(files) == (how["data"] is not None):
        raise click.UsageError("Give FILES or --data DATASET, one of them.")
    _check_dicom(how)
    if how["only_boxed"] and not (how["boxes"] or how["data"]):
        raise click.UsageError("--only-boxed needs known boxes: give --boxes TABLE.")
    table = how.pop("table")
    if table and how["data"]:
        raise click.UsageError("--table is for FILES; a dataset's manifest tells it.")
    point = rule_of(rule)
    from cxrkeras.serving.explain.folder import is_explanation
    from cxrkeras.serving.explain.inputs import data_inputs, file_inputs
    from cxrkeras.serving.explain.run import explain_inputs
    from cxrkeras.serving.predictor.read import read_card

    check_folder(out, "explain", is_explanation, overwrite=how["overwrite"])
    card = read_card(model)
    point = point or card.default_rule
    card.operating_points(point)  # what the model lacks is said before the work
    inputs = (
        file_inputs(card, files, how["boxes"], table)
        if files
        else data_inputs(card, how["data"], how["boxes"])
    )
    inputs = inputs.only_boxed() if how["only_boxed"] else inputs
    seed, check = how.pop("seed"), how.pop("randomisation_check")
    for name in ("data", "boxes", "only_boxed", "overwrite"):
        how.pop(name)
    how["check_seed"] = seed if check else None
    _tell(out, explain_inputs(card, inputs, out, point, **how))


def _check_dicom(how: dict) -> None:
    if not how["dicom"]:
        return
    if how["data"] or not how["pictures"]:
        raise click.UsageError("--dicom is for the pictures of FILES.")
    from cxrkeras.serving.reporting.said import need
    from cxrkeras.serving.reporting.written import EXTRA

    need(*EXTRA, "--dicom")


def _tell(out: Path, outcome) -> None:
    for line in outcome.lines:
        click.echo(line)
    refused = outcome.refused
    for file, reason in refused[:_SHOWN]:
        click.echo(f"Not explained: {printable(file)}: {reason}")
    if len(refused) > _SHOWN:
        click.echo(f"… and {len(refused) - _SHOWN} more: {out / 'rejected.csv'}")
    if not outcome.explained:
        from cxrkeras.serving.predict.films import none_readable

        raise none_readable(len(refused), refused[0][1])
    click.echo(f"Results: {out}")
