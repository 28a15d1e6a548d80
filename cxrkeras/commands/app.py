"""`cxrkeras app`: a page where a person drops a film and sees what the model sees."""

from pathlib import Path

import click

from cxrkeras.commands.shared.film_options import admission
from cxrkeras.commands.shared.helping import Verb
from cxrkeras.commands.shared.numbers import Finite
from cxrkeras.commands.shared.operating_point import operating_point, rule_of
from data_prep.filenames import printable
from data_prep.say import say

_HERE = ("127.0.0.1", "localhost", "::1")

_MAIN = ("open", "port", "host", "operating-point", "server")


@click.command("app", cls=Verb, shown=_MAIN)
@click.argument("model", metavar="MODEL_OR_RUN")
@click.option(
    "--server",
    metavar="URL",
    help="TensorFlow Serving with the model, http://HOST:8501 or grpc://HOST:8500. MODEL_OR_RUN "
    "is then the model's name on it. No heat maps.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7860,
    show_default=True,
    help="Port to listen on; 0: any free one.",
)
@click.option(
    "--max-mb",
    type=Finite(0, 1024, min_open=True),
    default=64,
    show_default=True,
    help="Largest upload, in MB.",
)
@operating_point("Threshold above which a label is positive, as for `cxrkeras predict`.")
@admission
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
def command(
    model: str,
    server: str | None,
    host: str,
    port: int,
    max_mb: float,
    rule: str | None,
    admission,
    open_page: bool,
) -> None:
    """Open a page where people drop a PNG, JPEG or DICOM film and see what the model sees.

    It shows films with window, zoom and a heat map for each label beside probabilities and
    decisions; a study's views or a prior side by side; `?` lists the keys. Results can be saved as
    a sheet (PDF, PNG) or JSON. It works offline, and films stay in memory and leave no trace on
    disk. Only this computer can open it, unless --host says otherwise: there is no password. Not
    for clinical use.

    \b
    Examples:
      cxrkeras app runs/first --open
      cxrkeras app models/final --operating-point sensitivity=0.95
      cxrkeras app cxr --server http://gpu-box:8501
    """
    from cxrkeras.serving.app.gate.address import check_installed, listen

    check_installed()
    sockets = [listen(host, port)]
    say(f"Loading {printable(model)}; the page's address follows.")
    from cxrkeras.serving.app.serve import serve
    from cxrkeras.serving.app.terms import Terms

    judge = _remote(server, model, rule) if server is not None else _local(Path(model), rule)
    if host not in _HERE:
        say(
            f"Warning: {host} can be reached by others, without password or encryption. Put a "
            "server with both before it, or leave out --host."
        )
    terms = Terms(round(max_mb * 2**20), admission, host in _HERE, bool(server))
    serve(judge, terms, sockets, open_page=open_page)


def _remote(server: str, name: str, rule: str | None):
    if rule is not None:
        raise click.UsageError("--operating-point: a server has its own. Leave out one of the two.")
    from cxrkeras.serving.app.judge import RemoteJudge

    return RemoteJudge(server, name)


def _local(path: Path, rule: str | None):
    from cxrkeras import runtime
    from cxrkeras.serving.predictor.read import read_card

    chosen = rule_of(rule)
    card = read_card(path)
    chosen = chosen or card.default_rule
    card.operating_points(chosen)  # what the model lacks is said before the work
    runtime.start()
    from cxrkeras.serving.app.judge import LocalJudge
    from cxrkeras.serving.predictor.loaded import load_card

    return LocalJudge(card, load_card(card), chosen)
