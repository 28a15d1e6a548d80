"""Parts: one file each, found by name here or in any installed package, with checked options.

A kind of part is a folder; its `__init__` says what such a part must be. A part is a module of that
folder, or of another package that names it as an entry point of the group that is called like the
folder (`cxrkeras.models.heads`). The module's name is the part's, its docstring describes it (the
first line, and a paragraph `Source: …`), and its class `Part` does the work. Folders within the
folder are no parts: what several parts share lies there.
"""

import ast
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data_prep.errors import UserError


def option(default: Any, text: str, *, metavar: str = "", **rules: Any) -> Any:
    """A field of a part that users may set.

    Args:
        default: its value if nobody does; `...` if somebody must.
        text: what it is, for the help.
        metavar: the name of its value in the help, e.g. `PIXELS`.
        **rules: as `pydantic.Field` takes them, e.g. `ge=0`.
    """
    shown = {"metavar": metavar} if metavar else None
    return Field(default, description=text, json_schema_extra=shown, **rules)


class Part(BaseModel):
    """The base of every part: its options are fields, checked, and compared by value.

    Attributes:
        main: the option that may stand without its name, as in `hub:PRESET`; "" for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    main: ClassVar[str] = ""

    @classmethod
    def part_name(cls) -> str:
        """The name of the part's file."""
        return cls.__module__.rpartition(".")[2]

    def changed(self) -> dict[str, Any]:
        """The options that differ from their defaults, as in JSON."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def described(self) -> str | dict[str, Any]:
        """Name and changed options, as JSON: equal for parts that do the same."""
        changed = self.changed()
        return {"name": self.part_name(), **changed} if changed else self.part_name()

    def __str__(self) -> str:
        return spelled(self.part_name(), self.changed())


_FEW = 16  # names that an error lists

P = TypeVar("P", bound=Part)


@dataclass(frozen=True)
class About:
    """What a part's docstring says.

    Attributes:
        name: the part's.
        line: what it is, in a sentence.
        source: the paper, or "".
        package: the installed package that provides it, or "" for our own.
    """

    name: str
    line: str
    source: str
    package: str


class Family(Protocol):
    """Parts that aren't files, such as a library's."""

    def names(self) -> list[str]:
        """Their names, found without importing the library."""

    def load(self, name: str) -> type[Part]:
        """The class of one of them."""

    def about(self, name: str) -> About:
        """The description of one of them."""


class Registry(Generic[P]):
    """The parts of one kind.

    Args:
        kind: in words, e.g. `head`.
        package: the folder, which is also the entry points' group.
        argument: how users refer to it, e.g. `--head`; `--KIND` by default.
        family: the module of a `Family`, a variable `FAMILY` in it; "" for none.
    """

    def __init__(self, kind: str, package: str, argument: str = "", family: str = ""):
        self.kind, self.package, self._family = kind, package, family
        self.argument = argument or f"--{kind}"

    def names(self) -> list[str]:
        """The names of all parts, without importing any."""
        own = {*self._places, *(self.family.names() if self._family else ())}
        return sorted(own)

    def name_of(self, text: str) -> str:
        """The name at the beginning of a text such as `fpn:width=256`.

        Raises:
            UserError: there is no such part.
        """
        name = text.partition(":")[0].strip().replace("-", "_")
        if name not in self._places and not (self._family and name in self.family.names()):
            near = get_close_matches(name, self.names(), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            known = self.names()
            among = (
                f"one of {', '.join(known)}"
                if len(known) <= _FEW
                else f"a {self.kind} (`cxrkeras parts {self.kind.split()[-1]}` lists them)"
            )
            raise UserError(f"{self.argument} must be {among}. Received: {text!r}.{hint}")
        return name

    def load(self, name: str) -> type[P]:
        """The class of a part; its file is imported."""
        name = self.name_of(name)
        if name not in self._places:
            return self.family.load(name)
        try:
            module = self._import(self._places[name])
        except Exception as error:  # a part's file may be anyone's, and raise anything
            raise self._broken(name, f"can't be imported: {_in_words(error)}") from error
        found = getattr(module, "Part", None)
        ours = isinstance(found, type) and issubclass(found, Part)
        if not ours or not any(self._of_kind(base) for base in found.__mro__[1:]):
            raise self._broken(name, f"has no class Part on a base class of {self.package}")
        if missing := sorted(found.__abstractmethods__):
            raise self._broken(name, f"has a class Part without {' and '.join(missing)}")
        return found

    def make(self, text: str) -> P:
        """A part from `NAME`, `NAME:key=value,…` or, where it has a main option, `NAME:VALUE`.

        Raises:
            UserError: there is no such part, or an option is unknown or out of bounds.
        """
        part = self.load(self.name_of(text))
        return self.of(part, _split(text, part))

    def of(self, part: str | type[P], options: Mapping[str, Any]) -> P:
        """A part from its name or class, and its options as in Python and TOML.

        Raises:
            UserError: there is no such part, or an option is unknown or out of bounds.
        """
        part = self.load(part) if isinstance(part, str) else part
        try:
            return part(**options)
        except ValidationError as error:
            raise UserError(self._said(part, error)) from None

    def about(self, name: str) -> About:
        """A part's description, read from its file without importing it."""
        name = self.name_of(name)
        if name not in self._places:
            return self.family.about(name)
        module = self._places[name]
        package = "" if module.startswith(f"{self.package}.") else module.partition(".")[0]
        try:
            said = docstring(module)
        except (SyntaxError, UnicodeDecodeError) as error:
            raise self._broken(name, f"can't be read: {_in_words(error)}") from error
        return About(name, *said, package)

    @cached_property
    def family(self) -> Family:
        """The source of names that aren't files."""
        return importlib.import_module(self._family).FAMILY

    def _of_kind(self, base: type) -> bool:
        return f"{base.__module__}.".startswith(f"{self.package}.")

    def _broken(self, name: str, what: str) -> UserError:
        return UserError(
            f"The {self.kind} {name}, the module {self._places[name]}, {what}. Repair it, or "
            "remove it (--debug shows the traceback)."
        )

    def _import(self, module: str) -> ModuleType:
        return importlib.import_module(module)

    @cached_property
    def _places(self) -> dict[str, str]:
        """{name: module}."""
        places = dict(_files(self.package))
        for point in entry_points(group=self.package):
            module = point.value.partition(":")[0]
            if point.name != module.rpartition(".")[2]:
                raise UserError(
                    f"A part must be named after its file. The package {module.partition('.')[0]} "
                    f"names the {self.kind} {point.name} in {module}. Repair that package, or "
                    "remove it."
                )
            if places.setdefault(point.name, module) != module:
                raise UserError(
                    f"Two packages provide a {self.kind} {point.name}: {places[point.name]} and "
                    f"{module}. Remove one of them."
                )
        return places

    def _said(self, part: type[Part], error: ValidationError) -> str:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else ""
        name = part.part_name()
        if first["type"] == "extra_forbidden":
            known = ", ".join(part.model_fields) or "none"
            return f"{self.argument} {name} has no option {key!r}. Its options: {known}."
        if first["type"] == "missing":
            what = part.model_fields[key].description
            return f"{self.argument} {name} needs the option {key!r}: {what}"
        message = first["msg"].replace("Input should", "must").removeprefix("Value error, ")
        where = f" {key}" if key else ""
        return f"{self.argument} {name}:{where} {message}. Received: {first['input']!r}."


def spelled(name: str, options: Mapping[str, Any]) -> str:
    """`NAME:key=value,…`, as `Registry.make` reads it."""
    pairs = ",".join(f"{key}={_as_text(value)}" for key, value in options.items())
    return f"{name}:{pairs}" if pairs else name


def _in_words(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first}".rstrip(".: ")


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _split(text: str, part: type[Part]) -> dict[str, str]:
    """The options of `NAME:key=value,…`, as text; the first may be the main option's value."""
    _, colon, rest = text.partition(":")
    given: dict[str, str] = {}
    for number, word in enumerate(rest.split(",") if colon else ()):
        key, equals, value = word.partition("=")
        key = key.strip().replace("-", "_")
        if number == 0 and part.main and not (equals and key in part.model_fields):
            key, equals, value = part.main, "=", word
        if not equals or not key or key in given:
            raise UserError(
                f"Options follow a colon, each once: NAME:key=value,key=value. Received: {text!r}."
            )
        given[key] = value.strip()
    return given


def _files(package: str) -> Iterator[tuple[str, str]]:
    spec = importlib.util.find_spec(package)  # imports the folders above, which are light
    for module in pkgutil.iter_modules(spec.submodule_search_locations if spec else ()):
        if not module.ispkg and module.name != "__main__":
            yield module.name, f"{package}.{module.name}"


def docstring(module: str) -> tuple[str, str]:
    """The first line of a module's docstring and its source, without importing the module."""
    spec = importlib.util.find_spec(module)
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    sources = [p.removeprefix("Source: ") for p in paragraphs if p.startswith("Source: ")]
    return paragraphs[0], " ".join(sources)
