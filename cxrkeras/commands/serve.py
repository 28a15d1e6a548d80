"""`cxrkeras serve`: the files that TensorFlow Serving takes, and the line that starts it."""

import shlex
from pathlib import Path

import click

from cxrkeras.commands.shared.helping import Verb
from cxrkeras.commands.shared.numbers import Finite


@click.command(cls=Verb)
@click.argument(
    "models", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="EXPORTED..."
)
@click.option(
    "--out",
    "config",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for the server's files.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Largest number of images in one call of the model.",
)
@click.option(
    "--wait",
    type=Finite(0),
    default=5.0,
    show_default=True,
    help="Milliseconds that an image waits for others to fill the batch.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Number of batches processed at a time.",
)
def command(
    models: tuple[Path, ...], config: Path, batch_size: int, wait: float, threads: int
) -> None:
    """Write what TensorFlow Serving needs to serve EXPORTED models (DIR/NAME of `export`).

    --out gets models.config, batching.config and run.sh, whose `docker run` line is printed too.
    The server answers only this machine, by REST on port 8501 and gRPC on 8500. It has no
    authentication, so put a proxy that has in front of it. It picks up new versions of a model by
    itself.

    \b
    Examples:
      cxrkeras serve served/chest --out serving
      sh serving/run.sh
      cxrkeras predict chest film.dcm --server http://localhost:8501
    """
    from cxrkeras.serving.server.deploy import served, write_config
    from data_prep.errors import UserError

    homes = served(models)
    try:
        words = write_config(config, homes, batch=batch_size, wait=wait, threads=threads)
    except OSError as error:
        raise UserError(f"--out {config} can't be written: {error.strerror}.") from error
    click.echo(shlex.join(words))
    for name in ("models.config", "batching.config", "run.sh"):
        click.echo(f"Written: {config / name}", err=True)
