"""`cxrkeras parts`: what there is to choose from, and with which options."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import click

from cxrkeras.commands.shared.helping import Verb
from cxrkeras.registry import KINDS, RECIPES, About, Part, Registry
from cxrkeras.runs.presets import preset_line, preset_names, preset_text, recipe_name

_TYPES = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "string": "a text",
    "array": "several, each",
}
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "up to",
    "exclusiveMaximum": "below",
}


@click.command(cls=Verb)
@click.argument("kind", required=False)
@click.argument("name", required=False)
def command(kind: str | None, name: str | None) -> None:
    """List what there is to choose from, here and in other installed packages.

    Without KIND, lists the kinds and the number of parts of each; with KIND, its parts; with NAME,
    that part's description and options. A part's options are given as
    NAME:option=value,option=value. Beside the recipes stand the published systems that --recipe
    takes too, each with its source, its published score and its choices.

    \b
    Examples:
      cxrkeras parts
      cxrkeras parts backbones
      cxrkeras parts rules sensitivity
      cxrkeras parts recipes chexnet
    """
    if kind is None:
        _print_kinds()
    elif name is None:
        _print_parts(_kind_of(kind))
    elif _kind_of(kind) is RECIPES and recipe_name(name) in preset_names():
        click.echo(preset_text(recipe_name(name)), nl=False)
    else:
        _print_part(_kind_of(kind), name)


def _kind_of(word: str) -> Registry:
    """The kind that a word means: `head`, `heads`, `threshold-rule`, `rules`.

    Raises:
        click.UsageError: it means none.
    """
    plain = word.replace("-", " ").replace("_", " ").casefold()
    for kind in KINDS:
        last = kind.kind.rpartition(" ")[2]
        if plain in (kind.kind, _plural(kind.kind), last, _plural(last)):
            return kind
    words = [_word(kind) for kind in KINDS]
    near = get_close_matches(plain, words, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise click.UsageError(f"KIND must be one of {', '.join(words)}. Received: {word!r}.{hint}")


def _word(kind: Registry) -> str:
    """The shortest word for several of a kind, e.g. `rules`."""
    return _plural(kind.kind.rpartition(" ")[2])


def _plural(noun: str) -> str:
    if noun.endswith("y"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def _print_kinds() -> None:
    for kind in KINDS:
        given = "cxrkeras prep NAME" if kind.argument == "prep" else kind.argument
        click.echo(f"{_word(kind):<12}{len(kind.names()):>4}  {given}")
    click.echo("\nNext: cxrkeras parts KIND")


def _print_parts(kind: Registry) -> None:
    names = kind.names()
    if not names:
        click.echo(f"There are no {_plural(kind.kind)}.")
        return
    _print_list([(name, _line(kind.about(name))) for name in names])
    if kind is RECIPES:
        click.echo("\nPublished systems, whose choices all other options override:")
        _print_list([(name, preset_line(name)) for name in preset_names()])
    click.echo(f"\nNext: cxrkeras parts {_word(kind)} NAME")


def _line(about: About) -> str:
    source = f" Source: {about.source}" if about.source else ""
    return f"{about.line}{source}" + (f" ({about.package})" if about.package else "")


def _print_part(kind: Registry, name: str) -> None:
    about, part = kind.about(name), kind.load(name)
    click.echo(f"{about.name}, a {kind.kind}" + (f" of {about.package}" if about.package else ""))
    click.echo(about.line)
    if about.source:
        click.echo(f"Source: {about.source}")
    options = list(_options(part))
    click.echo("\nOptions:" if options else "\nIt has no options.")
    _print_list(options)


def _options(part: type[Part]) -> Iterator[tuple[str, str]]:
    """Each option's name, and what it is, its values and its default, in words."""
    properties = part.model_json_schema()["properties"]
    for name, field in part.model_fields.items():
        facts = [_values(properties[name])]
        if name == part.main:
            facts.append("may stand without its name")
        if field.is_required():
            facts.append("required")
        elif field.default not in (None, "", ()):
            facts.append(f"default {properties[name].get('default', field.default)}")
        yield name, f"{field.description or ''} [{'; '.join(filter(None, facts))}]"


def _values(schema: dict[str, Any]) -> str:
    """What a JSON schema admits, in words."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    if kinds:
        return " or ".join(map(_values, kinds))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("format") == "path":
        return "a file"
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS.items() if key in schema]
    inner = _values(schema["items"]) if "items" in schema else ""
    words = (_TYPES.get(schema.get("type", ""), ""), inner, ", ".join(bounds))
    return " ".join(filter(None, words))


def _print_list(rows: list[tuple[str, str]]) -> None:
    if rows:
        formatter = click.HelpFormatter(width=100)
        formatter.write_dl(rows)
        click.echo(formatter.getvalue(), nl=False)
