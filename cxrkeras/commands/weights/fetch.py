"""`cxrkeras weights fetch`: public weights by name."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from cxrkeras.commands.shared.helping import Verb
from cxrkeras.commands.weights.report import report_import
from data_prep.errors import UserError

if TYPE_CHECKING:
    from cxrkeras.models.weights.public import PublicWeights


class _Public(click.ParamType):
    """A set of public weights; which there are is asked when it matters."""

    name = "name"

    def shell_complete(self, ctx, param, incomplete: str) -> list[CompletionItem]:
        """The names that begin so."""
        from cxrkeras.models.weights.public import public_names

        return [CompletionItem(name) for name in public_names() if name.startswith(incomplete)]


@click.command("fetch", cls=Verb)
@click.argument("name", type=_Public(), required=False)
@click.option(
    "--print", "printed", is_flag=True, help="Print address, checksum and place; fetch nothing."
)
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Take in this file, downloaded on another machine.",
)
@click.option("--accept-licence", is_flag=True, help="You have read the licence, and agree.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="New folder of the imported trunk. [default: weights/NAME]",
)
def fetch_command(
    name: str | None, printed: bool, file: Path | None, accept_licence: bool, out: Path | None
) -> None:
    """Fetch public weights of chest films by name, and import them.

    Without NAME, lists what there is. The licence is shown before the first use. A download that
    broke off goes on with the same command; the file is kept in the cache and its sha256 is
    checked: the published one, or else that of the file which was first taken in. Without a
    network, --print says what to download elsewhere, and --file takes it in. Nothing in a file is
    executed: of a model that was pickled whole, only the tensors are taken (extra torch).

    \b
    Examples:
      cxrkeras weights fetch
      cxrkeras weights fetch xrv_resnet50_512 --accept-licence
      cxrkeras weights fetch xrv_resnet50_512 --print
      cxrkeras weights fetch chexnet_keras --file Downloads/chexnet.h5
    """
    from cxrkeras.models.weights.public import public_names, public_weights

    if name is None:
        for one in map(public_weights, public_names()):
            click.echo(f"{one.name:<26} {one.what}")
        click.echo("\nNext: cxrkeras weights fetch NAME")
        return
    weights = public_weights(name)
    folder = _kept(weights.name)
    _tell(weights, folder)
    if printed or weights.hub:
        _tell_hub(weights)
        return
    from cxrkeras.models.weights.public.fetch import forget, noted

    known = noted(weights, folder)
    path = _fetched(weights, folder, file, accept_licence)
    click.echo(f"File: {path}")
    try:
        _import_fetched(weights, path, out or Path("weights") / weights.name)
    except UserError:
        if not known:
            forget(weights, folder)
        raise


def _kept(name: str) -> Path:
    from cxrkeras.training.stages.cache import cache_folder

    return cache_folder().absolute() / "weights" / name


def _tell(weights: "PublicWeights", folder: Path) -> None:
    from cxrkeras.models.weights.public.fetch import noted

    known = noted(weights, folder)
    published = "" if weights.sha256 else " (noted at first use)" if known else ""
    facts = {
        "What": weights.what,
        "Licence": weights.licence,
        "Cite": weights.citation,
        "Page": weights.page,
        "Address": weights.url or (f"hub:{weights.hub}" if weights.hub else "by hand, at the page"),
        "sha256": f"{known}{published}" if known else "not published; noted at first use",
        "Place": folder / weights.file,
    }
    if weights.hub:
        del facts["sha256"], facts["Place"]
    for word, text in facts.items():
        click.echo(f"{word + ':':<10} {text}")


def _tell_hub(weights: "PublicWeights") -> None:
    if weights.hub:
        click.echo(
            f"\nKerasHub fetches it (pip install 'cxrkeras[hub]'): cxrkeras cv --data DIR "
            f"--backbone hub:{weights.hub} --source imagenet"
        )
    else:
        click.echo(f"\nNext: cxrkeras weights fetch {weights.name} --file FILE")


def _fetched(weights: "PublicWeights", folder: Path, file: Path | None, accepted: bool) -> Path:
    from cxrkeras.models.weights.public import fetch
    from data_prep.files import atomic_write_text

    mark, terms = folder / "licence-accepted", f"{weights.licence}\n"
    if not mark.is_file() or mark.read_text(encoding="utf-8", errors="replace") != terms:
        where = f"The licence of {weights.name}: {weights.licence}. Read it at {weights.page}."
        if not accepted and not sys.stdin.isatty():
            raise UserError(f"{where} If you agree, add --accept-licence.")
        if not accepted:  # on standard error, since -q keeps the rest to itself
            click.confirm(f"{where} Do you agree?", abort=True, err=True)
        atomic_write_text(mark, terms)
    if file is not None:
        return fetch.take_in(weights, file, folder)
    if (path := fetch.held(weights, folder)) is not None:
        return path
    if not weights.url:
        raise UserError(
            f"{weights.name} can only be downloaded in a browser: {weights.page}. Then: cxrkeras "
            f"weights fetch {weights.name} --file FILE"
        )
    return fetch.download(weights, folder)


def _import_fetched(weights: "PublicWeights", path: Path, out: Path) -> None:
    from cxrkeras import runtime
    from cxrkeras.models.importing.labels import parse_labels
    from cxrkeras.models.weights.public import fetch

    runtime.start()
    from cxrkeras.models.importing.importer import Wish, import_weights

    wish = Wish(
        weights.backbone,
        weights.image_size,
        parse_labels(weights.labels),
        scaling=weights.scaling or None,
        origin=f"{weights.what} {weights.citation} sha256 {fetch.noted(weights, path.parent)}",
        licence=weights.licence,
    )
    with TemporaryDirectory() as folder:
        file = _tensors_of(path, Path(folder)) if weights.pickled else path
        report_import(import_weights(file, out, wish))


def _tensors_of(path: Path, folder: Path) -> Path:
    """The tensors of a model that was pickled whole; nothing that it names is run."""
    try:
        from cxrkeras.models.importing.pickled import to_safetensors
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path} is in PyTorch's format, and {error.name} is not installed: pip install "
            "'cxrkeras[torch]'."
        ) from error
    out = folder / f"{path.stem}.safetensors"
    try:
        to_safetensors(path, out)
    except UserError:
        raise
    except Exception as error:  # damaged bytes raise whatever they happen to hit
        raise UserError(
            f"{path} can't be read as a pickled PyTorch model ({type(error).__name__}). Remove it, "
            "and fetch it again."
        ) from error
    return out
