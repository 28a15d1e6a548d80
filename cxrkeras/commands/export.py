"""`cxrkeras export`: a trained model for servers, devices and Hugging Face, with its card."""

from pathlib import Path

import click

from cxrkeras.commands.shared.film_options import admission
from cxrkeras.commands.shared.helping import Verb
from cxrkeras.commands.shared.operating_point import operating_point, rule_of, rules_named
from cxrkeras.serving.export.layout import FORMATS

_MAIN = ("out", "format", "name", "operating-point", "check", "licence")


@click.command(cls=Verb, shown=_MAIN)
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL_OR_RUN")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of all exported models, in which NAME/VERSION is created.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(sorted(FORMATS, reverse=True)),
    multiple=True,
    default=("saved-model",),
    show_default=True,
    help="Repeatable.",
)
@operating_point(f"The thresholds that go along: {rules_named()}")
@click.option("--name", help="The model's name on the server. [default: the model folder's]")
@click.option(
    "--check",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    metavar="FILE",
    help="Radiograph with which to check the export. Repeatable. [default: synthetic ones]",
)
@click.option(
    "--licence",
    "license_name",
    default="unknown",
    show_default=True,
    help="Licence of the weights for the model card, in Hugging Face's spelling.",
)
@admission
def command(
    model: Path,
    out: Path,
    formats: tuple[str, ...],
    rule: str | None,
    name: str | None,
    check: tuple[Path, ...],
    license_name: str,
    admission,
) -> None:
    """Export a model, or a run's ensemble as one, in the formats that servers and devices read.

    OUT/NAME/1 is a SavedModel for TensorFlow Serving, with decoding and preparing inside: its
    signature `encoded` takes PNG and JPEG files within --min-side and --max-pixels.
    onnx/1/model.onnx and litert/1/model.tflite take prepared images. hub/1 is a folder for Hugging
    Face: model.keras, which Keras alone opens, and a card. The next export becomes
    version 2; nothing but the model card, OUT/NAME/README.md, is overwritten. Every format is
    checked against Keras on the same images before it is published. Not for clinical use.

    \b
    Examples:
      cxrkeras export runs/first --out served
      cxrkeras export runs/first --out served --format saved-model --format onnx --name chest
      cxrkeras export models/final --out served --operating-point youden --check film.dcm
      cxrkeras export runs/first --out served --format hub --licence cc-by-nc-4.0
    """
    from cxrkeras.serving.export.order import export

    settings = {"name": name, "check": check, "license_name": license_name}
    exported = export(model, out, formats, rule_of(rule), admission=admission, **settings)
    click.echo("Largest difference of a probability against Keras:")
    for found in exported.differences:
        click.echo(f"  {found.what:<28} {found.value:.1e}  on {found.images} images")
    for folder in exported.folders:
        click.echo(f"Written: {folder}")
    click.echo(f"Model card: {exported.home / 'README.md'}")
