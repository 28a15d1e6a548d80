"""What the verbs of `cxrkeras prep` hand on, and what they print."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from cxrkeras.commands.prep.options import COLUMN_ROLES


def prepare_table(reader: Callable, options: dict, **choices) -> None:
    """Prepare a folder and a table of the user's own.

    Args:
        reader: `table_source`, `eda_source`.
        options: what the command received, but for `choices`.
        **choices: what is the reader's alone.
    """
    from data_prep.dataset.make import make_table

    columns = {role: options.pop(f"{role}_column") for role in COLUMN_ROLES}
    report(make_table(reader, columns=columns, reading=choices, tell=click.echo, **options))
    click.echo(f"\nNext: cxrkeras cv --data {options['out']} --source imagenet")


def prepare_archive(reader: Callable, root: Path, options: dict, **choices) -> None:
    """Prepare a public archive: its identifiers stay, and no secret key is needed.

    Args:
        reader: `nih_source`, `chexpert_source`.
        root: the archive's folder.
        options: what the command received, but for `choices`.
        **choices: what is the reader's alone.
    """
    from data_prep.dataset.make import make_dataset

    read = partial(_named, reader, root, choices)
    how = {**options, "what": "the archive's folder", "public": True}
    report(make_dataset(read, root, tell=click.echo, **how))


def _named(reader: Callable, root: Path, choices: dict, name: str):
    return reader(root, name=name, **choices)


def report(summary) -> None:
    """Print a prepared dataset's counts and where it lies, and what is still to be told of it."""
    from data_prep.dataset.publish import WARNING

    counts = summary.description["counts"]
    held = f"{counts['images']} images of {counts['patients']} patients"
    click.echo(f"\n{summary.out}: {_state(summary)}: {held}")
    _tally("rejected", summary.rejected, "rejected.csv")
    _tally("duplicates", summary.duplicates, "duplicates.csv")
    for note in summary.notes:
        click.secho(f"  {note}", fg="yellow" if note.startswith(WARNING) else None)
    width = max(map(len, counts["per_label"]), default=0)
    click.echo(f"  {'label':<{width}}  positive  negative  uncertain  not mentioned")
    for label, n in counts["per_label"].items():
        click.echo(f"  {label:<{width}}  {n['1']:8}  {n['0']:8}  {n['-1']:9}  {n['']:13}")


def _state(summary) -> str:
    if not summary.already:
        return "prepared"
    known = "already prepared" + ", every image verified" * summary.verified
    if summary.mended:
        return f"{known}, {summary.mended} made again (damaged or missing)"
    return known if summary.verified else f"{known}, nothing done"


def _tally(what: str, counts, file: str) -> None:
    if not counts:
        return
    click.echo(f"  {what}: {sum(counts.values())} (in {file})")
    for reason, count in counts.most_common():
        click.echo(f"    {count:6}  {reason}")
