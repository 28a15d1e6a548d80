"""The fields of a part as options of the command line, each of the type that it is checked for."""

from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from cxrkeras.commands.prep.options import FILE
from data_prep.registry import Part


def field_options(part: type[Part]) -> list[Callable]:
    """One click option per field, in their order.

    Args:
        part: its fields are texts, numbers, `bool`, `Path` (a file), a `Literal`, or tuples:
            `tuple[str, ...]` is one text separated by commas, another an option that is repeated.
    """
    return [_option(name, field) for name, field in part.model_fields.items()]


def _option(name: str, field: FieldInfo) -> Callable:
    spelled = "--" + name.replace("_", "-")
    shown = (field.json_schema_extra or {}).get("metavar")
    common = {"help": field.description, "metavar": shown}
    if field.is_required():
        common["required"] = True
    else:
        common["default"] = field.default
        common["show_default"] = field.default not in (None, "", ()) and field.default is not False
    kind = _without_none(field.annotation)
    if kind is bool:
        both = f"/--no-{name.replace('_', '-')}" if common.get("default") else ""
        return click.option(spelled + both, name, is_flag=True, **common)
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
        if kind is str:
            if "default" in common:
                common["default"] = ",".join(field.default or ())
            return click.option(spelled, name, callback=_separated, **common)
        common["multiple"] = True
    return click.option(spelled, name, type=_type(kind, field), **common)


def _without_none(annotation: Any) -> Any:
    """`X` of `X | None`."""
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    return kinds[0] if NoneType in get_args(annotation) else annotation


def _type(kind: Any, field: FieldInfo) -> Any:
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    if kind is Path:
        return FILE
    if kind not in (int, float):
        return str
    low = _bound(field, "ge", "gt")
    high = _bound(field, "le", "lt")
    bounds = {"min": low[0], "min_open": low[1], "max": high[0], "max_open": high[1]}
    return (click.IntRange if kind is int else click.FloatRange)(**bounds)


def _bound(field: FieldInfo, closed: str, open_: str) -> tuple[Any, bool]:
    """A bound of the field and whether it is outside itself."""
    for name in (closed, open_):
        for rule in field.metadata:
            if getattr(rule, name, None) is not None:
                return getattr(rule, name), name == open_
    return None, False


def _separated(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",")) if text else ()
