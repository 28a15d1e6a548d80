"""The fields of an experiment as options of a command; `Experiment` declares them once."""

from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

import click
from click.shell_completion import CompletionItem
from pydantic.fields import FieldInfo

from cxrkeras.commands.shared.helping import section
from cxrkeras.registry import RECIPES, Registry
from cxrkeras.runs.experiment import OPTIONS
from cxrkeras.runs.presets import preset_names, recipe_name
from cxrkeras.runs.spellings import OLD
from data_prep.errors import UserError

_FEW = 12  # names that a help text lists


def experiment_options(*names: str) -> Callable:
    """Decorate a command with the options of these fields, or of all fields.

    Options that aren't given reach the command as None, so that a file or a default can fill them.
    """
    fields = {name: OPTIONS[name] for name in names or OPTIONS}

    def decorate(function: Callable) -> Callable:
        for name, field in reversed(fields.items()):
            heading = field.json_schema_extra["section"]
            function = section(heading, _option(name, field))(function)
        for name in OLD:
            if not names or "recipe" in names:
                hidden = click.option(f"--{name.replace('_', '-')}", name, hidden=True)
                function = hidden(function)
        return function

    return decorate


def chosen(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value not in (None, ())}


def _option(name: str, field: FieldInfo) -> Callable:
    flag = "--" + name.replace("_", "-")
    text = field.description
    if field.annotation is bool:
        pair = f"{flag}/--no-{flag[2:]}"  # a preset or --config may have set it
        return click.option(pair, name, default=None, help=text)
    repeatable = get_origin(field.annotation) is tuple
    parts, kind = field.json_schema_extra["parts"], str if repeatable else _type(field.annotation)
    if parts:
        kind = RecipeType(parts) if parts is RECIPES else PartType(parts)
        if not kind.few():
            text = f"{text} `cxrkeras parts {parts.kind.replace(' ', '-')}` lists them."
    default = field.default
    if repeatable:
        text = f"{text} Repeatable."
        default = ", ".join(map(str, default)) or None
    if default is not None:
        text = f"{text} [default: {default}]"
    return click.option(flag, name, type=kind, multiple=repeatable, help=text)


class PartType(click.ParamType):
    """A part by its name, optionally with options: `NAME` or `NAME:key=value,…`."""

    name = "part"

    def __init__(self, parts: Registry):
        self._parts = parts

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text, if it begins with the name of a part."""
        try:
            self._check(value)
        except UserError as error:
            raise click.UsageError(str(error), ctx) from None
        return value

    def _check(self, value: Any) -> None:
        self._parts.name_of(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin so."""
        return [CompletionItem(name) for name in self._known() if name.startswith(incomplete)]

    def _known(self) -> list[str]:
        return self._parts.names()

    def few(self) -> bool:
        """Whether all names go into a line of help."""
        return len(self._parts.names()) <= _FEW

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """The names, if they are few."""
        return f"[{'|'.join(self._parts.names())}]" if self.few() else "NAME"


class RecipeType(PartType):
    """A recipe by its name, with or without options, or a published system."""

    def _check(self, value: Any) -> None:
        recipe_name(value)

    def _known(self) -> list[str]:
        return [*self._parts.names(), *preset_names()]

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """The recipes' names, and one word for all systems."""
        return f"[{'|'.join(self._parts.names())}|SYSTEM]"


def _type(annotation: Any) -> Any:
    kinds = [kind for kind in (get_args(annotation) or (annotation,)) if kind is not type(None)]
    for kind in kinds:
        if get_origin(kind) is Literal:
            return click.Choice(get_args(kind))
    if get_origin(annotation) is Literal:
        return click.Choice(get_args(annotation))
    return next((kind for kind in (int, float) if kind in kinds), str)
