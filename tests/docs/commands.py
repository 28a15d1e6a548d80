"""The commands that README and docs print, and how to run them on tiny data.

A block of code is a fence without a language. What can't be run stands below a comment that says
why, `<!-- not run: needs a GPU -->`, and is parsed only; there is no list of such commands.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

import click

from cxrkeras.cli import cli
from cxrkeras.commands.shared.old_words import in_todays_words
from tests.conftest import ROOT

PAGES = ("README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md")))
_MARK = re.compile(r"^<!-- not run: (.+) -->$")
_FOR_ALL = ("--debug", "-q", "--quiet", "-v", "--verbose")  # `main` takes them after a verb too
_COMMAND = re.compile(r"^([A-Z][A-Z_]*=\S* )*cxrkeras( |$)")


@dataclass(frozen=True)
class Command:
    """A command line of `cxrkeras`, as printed."""

    page: str
    line: int
    words: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict, hash=False)
    unrun: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: cxrkeras {shlex.join(self.words)}"


def commands_of(text: str, page: str = "") -> Iterator[Command]:
    """Every command in the blocks of a page."""
    lines = text.split("\n")
    within = listed = False
    mark = begun = ""
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            within = not within
            listed = within and line == "```"
            mark = mark if within else ""
        elif listed:
            begun += line
            if begun.endswith("\\"):
                begun = begun[:-1]
                continue
            if _COMMAND.match(begun):
                words, environment = shlex.split(begun, comments=True), {}
                while (word := words.pop(0)) != "cxrkeras":
                    name, _, environment[name] = word.partition("=")
                yield Command(page, number, tuple(words), environment, mark)
            begun = ""
        elif line.strip() and not within:
            found = _MARK.match(line)
            mark = found[1] if found else ""


def commands_in(page: str) -> list[Command]:
    """The commands of a file, by its path from the root."""
    return list(commands_of((ROOT / page).read_text(encoding="utf-8"), page))


def parsed(words: tuple[str, ...] | list[str]) -> click.Context | None:
    """The context of the verb that a command line means, its options parsed.

    None where the line only asks for help or the version.

    Raises:
        click.UsageError: the command line is wrong.
    """
    words = in_todays_words([word for word in words if word not in _FOR_ALL])
    try:
        context = cli.make_context("cxrkeras", words)
        while isinstance(context.command, click.Group):
            rest = [*context._protected_args, *context.args]
            name, command, rest = context.command.resolve_command(context, rest)
            context = command.make_context(name, rest, parent=context)
    except click.exceptions.Exit:
        return None
    return context
