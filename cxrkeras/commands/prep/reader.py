"""The verb of a reader, made of what the reader says: its docstring, its options, its form."""

import inspect
import re
import sys
from pathlib import Path

import click

from cxrkeras.commands.prep.fields import field_options
from cxrkeras.commands.prep.options import (
    exclude,
    findings,
    picture,
    privacy,
    raw_folder,
    reading,
    sample,
    to_folder,
    verify,
    views,
)
from cxrkeras.commands.prep.report import report
from cxrkeras.commands.shared.helping import Verb
from cxrkeras.registry import READERS

_MAIN = (  # where a reader has them; those that it can't do without stand before
    *("out", "labels-from", "findings-column", "patient-column", "views", "findings", "limit"),
    *("image-size", "key-file", "public", "executor"),
)
_NAMED = re.compile(r"[A-Z][\w -]*: ")


def reader_command(name: str) -> click.Command:
    """`cxrkeras prep NAME`."""
    part = READERS.load(name)

    def call(raw: Path, out: Path, **given) -> None:
        from data_prep.dataset.make import make_dataset

        reader = READERS.of(part, {field: given.pop(field) for field in part.model_fields})
        report(make_dataset(reader, raw, out, tell=click.echo, **given))
        click.echo(f"\nNext: {reader.next_step(out)}")

    wanted = [
        raw_folder[part.archive],
        to_folder,
        *field_options(part),
        *([] if "views" in part.model_fields else [views(part.default_views)]),
        findings,
        exclude,
        sample,
        picture,
        *([] if part.public else [privacy]),
        verify,
        reading,
    ]
    for option in reversed(wanted):
        call = option(call)
    flags = {flag.lstrip("-") for one in call.__click_params__ for flag in one.opts}
    needed = {one.opts[0].lstrip("-") for one in call.__click_params__ if one.required} - {"raw"}
    main = [
        *sorted(needed - {"out"}),
        *(name for name in _MAIN if name in flags - needed or name == "out"),
    ]
    text = _help(inspect.getdoc(sys.modules[part.__module__]) or "")
    return click.command(name, cls=Verb, shown=main, help=text)(call)


def _help(text: str) -> str:
    """A reader's docstring as click takes it: lists keep their lines, the source is to be cited."""
    return "\n\n".join(map(_paragraph, text.split("\n\n")))


def _paragraph(text: str) -> str:
    if text.startswith("Source: "):
        return text.replace("Source", "Cite", 1)
    lines = text.splitlines()
    named = len(lines) > 1 and all(map(_NAMED.match, lines))
    listed = named or any(line.startswith(" ") for line in lines)
    return f"\b\n{text}" if listed else text
