"""`cxrkeras prep auto`: which archive a folder is."""

import inspect
import shlex
import sys
from pathlib import Path

import click

from cxrkeras.commands.prep.options import FOLDER
from cxrkeras.commands.shared.helping import Verb
from cxrkeras.registry import READERS

_SHOWN = 3  # marks named of an archive


@click.command("auto", cls=Verb)
@click.argument("root", type=FOLDER)
def auto_command(root: Path) -> None:
    """Say which archive a folder is, or why it is none, and the command to run.

    It looks for the files by which each archive is known, in ROOT and the folders directly below
    it, and prepares nothing.

    \b
    Example:
      cxrkeras prep auto Downloads/ChestXray-NIHCC
    """
    from data_prep.errors import UserError
    from data_prep.readers.shared.marks import marks_in

    marked = {name: part.marks for name in READERS.names() if (part := READERS.load(name)).marks}
    found = {name: files for name, marks in marked.items() if (files := marks_in(root, marks))}
    for name, files in found.items():
        click.echo(f"{root} is {READERS.about(name).line}")
        more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
        click.echo(f"  known by {', '.join(files[:_SHOWN])}{more}")
        for line in _terms(name):
            click.echo(f"  {line}")
        click.echo(f"\nNext: cxrkeras prep {name} {shlex.quote(str(root))} --out data/{name}")
    if not found:
        width = max(map(len, marked))
        click.echo("Looked for:")
        for name, marks in marked.items():
            click.echo(f"  {name:<{width}}  {_wanted(marks)}")
        raise UserError(
            f"{root} is none of the archives known here: none of their tables is in it or directly "
            "below it. Give the folder of the download, or for a table of your own: "
            "cxrkeras prep table --help-all"
        )


def _wanted(marks) -> str:
    names = [pattern for pattern in marks if not pattern.endswith(".gz") or len(marks) == 1]
    return " or ".join((names or list(marks))[:_SHOWN])


def _terms(name: str) -> list[str]:
    text = inspect.getdoc(sys.modules[READERS.load(name).__module__]) or ""
    return [line for line in text.splitlines() if line.startswith("Terms: ")]
