"""`cxrkeras weights`: trunks that others trained, and what a weights file says about itself."""

import json
from pathlib import Path

import click

from cxrkeras.commands.shared.helping import Verb
from cxrkeras.commands.weights.fetch import fetch_command
from cxrkeras.commands.weights.report import report_import, say_facts

_SCALINGS = ("torch", "caffe", "tf", "unit", "xrv")
_file = click.Path(path_type=Path, dir_okay=False)


class _Importable(click.ParamType):
    """A backbone as which files can be imported; which they are is asked when it matters."""

    name = "backbone"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The names."""
        return f"[{'|'.join(self._names())}]"

    def convert(self, value: str, param, ctx) -> str:
        """Return the name, if it's one of them."""
        return click.Choice(self._names()).convert(value, param, ctx)

    def _names(self) -> tuple[str, ...]:
        from cxrkeras.models.importing.recognise import importable

        return tuple(sorted(set(importable().values())))


@click.group("weights")
def command() -> None:
    """Fetch or import trunks that others trained, or see where a trunk comes from.

    \b
    Examples:
      cxrkeras weights fetch
      cxrkeras weights import model.pth.tar --as densenet121 --labels nih14
      cxrkeras weights show weights/model/trunk.weights.h5
    """


command.add_command(fetch_command)


@command.command("import", cls=Verb)
@click.argument("file", type=_file)
@click.option("--as", "backbone", type=_Importable(), required=True, help="What FILE holds.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="New folder. [default: weights/NAME OF FILE]"
)
@click.option(
    "--labels",
    help="Labels of the classifier's outputs, in order: A,B,… (a blank leaves one out), or "
    "nih14, nih15, chexpert14, chexpert5 or xrv18.",
)
@click.option("--origin", default="", help="Who trained it, on what, and where you got it.")
@click.option("--licence", default="", help="Licence under which it may be used.")
@click.option(
    "--image-size",
    type=click.IntRange(32),
    help="Side of model.keras's images, in pixels. [default: the backbone's usual, 224 or 299]",
)
@click.option(
    "--scaling",
    type=click.Choice(_SCALINGS),
    help="How the original's pixels were scaled: torch, caffe, tf (keras.applications' modes), "
    "unit (0 to 1), xrv (-1024 to 1024). [default: the usual way for its kind]",
)
@click.option("--trunk-only", is_flag=True, help="Leave out everything but the trunk.")
def import_command(file: Path, backbone: str, out: Path | None, labels: str | None, **wish) -> None:
    """Make a trunk for --source out of a FILE that was trained elsewhere.

    FILE is a .safetensors file, a PyTorch state dict (.pth, .pt, .pth.tar; needs torch: pip install
    'cxrkeras[torch]') or a Keras 2 .h5 file. It understands torchvision's DenseNet121, ResNet18,
    34, 50 and 101 (resnet50_v1_5, resnet101_v1_5: their stride is in the 3x3 convolution, so they
    aren't Keras's resnet50 and resnet101) and VGG11-BN, the old spelling norm.1, conv.1 of released
    CheXNet weights, prefixes such as module., torchxrayvision's one-channel networks, and
    keras.applications' names. Nothing in FILE is executed.

    --out gets trunk.weights.h5. If FILE has a classifier whose labels are known, it also gets
    model.keras, which takes grey images of 0 to 255 and gives a probability per label, and
    model.json. Labels are known from --labels, or from torchxrayvision's one-channel form.

    \b
    Examples:
      cxrkeras weights import model.pth.tar --as densenet121 --labels nih14 \\
          --origin "CheXNet, github.com/arnoweng/CheXNet"
      cxrkeras weights import resnet50.safetensors --as resnet50_v1_5 --trunk-only
      cxrkeras weights import chexnet_weights.h5 --as densenet121 --labels nih14
    """
    from cxrkeras import runtime
    from cxrkeras.models.importing.labels import parse_labels
    from cxrkeras.registry import BACKBONES

    parsed = parse_labels(labels) if labels else None
    out = out or Path("weights") / _stem(file)
    size = wish.pop("image_size") or BACKBONES.load(backbone).usual
    runtime.start()
    from cxrkeras.models.importing.importer import Wish, import_weights

    report_import(import_weights(file, out, Wish(backbone, size, parsed, **wish)))


@command.command("show", cls=Verb)
@click.argument("file", type=_file)
def show_command(file: Path) -> None:
    """Show where the weights in FILE come from, as far as it or a file beside it says.

    FILE is a .weights.h5 or .keras file, or one that could be imported.

    \b
    Examples:
      cxrkeras weights show weights/chexnet/trunk.weights.h5
      cxrkeras weights show model.pth.tar
    """
    from cxrkeras.runs.sources import FOREIGN_FILES, WEIGHT_FILES

    name = file.name.lower()
    if name.endswith(FOREIGN_FILES) and not name.endswith(WEIGHT_FILES):
        _show_foreign(file)
    else:
        _show_own(file)


def _stem(file: Path) -> str:
    from cxrkeras.runs.sources import FOREIGN_FILES

    endings = sorted(FOREIGN_FILES, key=len, reverse=True)
    ending = next((end for end in endings if file.name.lower().endswith(end)), file.suffix)
    return file.name[: len(file.name) - len(ending)] or file.name


def _show_foreign(file: Path) -> None:
    from cxrkeras.models.importing.files import read_state
    from cxrkeras.models.importing.recognise import importable, recognise

    state = read_state(file)
    found = recognise(state)
    click.echo(f"{file}: {len(state.tensors)} tensors, {found or 'not a known network'}")
    if found in importable():
        click.echo(f"\nNext: cxrkeras weights import {file} --as {importable()[found]}")


def _show_own(file: Path) -> None:
    from cxrkeras.data.checked_json import read_any
    from cxrkeras.models.weights.files import contents

    held = contents(file)
    click.echo(f"{file}: {held.tensors} tensors, {held.parameters:,} parameters")
    beside = [file.with_name(name) for name in ("stage.json", "model.json")]
    found = [path for path in beside if path.is_file()]
    if held.facts:
        say_facts(held.facts)
    elif found:
        click.echo(f"{found[0].name} beside it says:")
        click.echo(json.dumps(read_any(found[0], "Remove it, or create it again."), indent=1))
    else:
        click.echo("Neither the file nor one beside it says where they come from.")
