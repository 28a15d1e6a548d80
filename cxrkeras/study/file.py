"""The description of a study, in TOML: one target, several sources, a grid of ways to transfer."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from cxrkeras.runs.description import read_choices
from cxrkeras.runs.experiment import OPTIONS
from cxrkeras.runs.presets import recipe_name
from cxrkeras.runs.spellings import renewed
from data_prep.errors import UserError

AXES = frozenset({"backbone", "recipe", "method", "source"})
"""What only the grid and the settings say, and no other table."""
SHARED = frozenset({"data", "label_set", "folds", "folds_file", "test_fraction", "blank"})
"""What decides which images are scored, and how: cells with different values can't be compared.
"""

_Words = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Setting(_Table):
    """One way to transfer: a row of the study's tables.

    Args:
        name: its name in the tables.
        method: regular, mixed or cotrain.
        source: as `--source`, with names of the study's sources as links; random weights if empty.
    """

    name: str = Field(min_length=1)
    method: Literal["regular", "mixed", "cotrain"] = "regular"
    source: _Words = ()


class Grid(_Table):
    """What each setting is combined with."""

    backbone: _Words = Field(min_length=1)
    recipe: _Words = Field(("finetune",), min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _renewed(cls, table: Any) -> Any:
        if isinstance(table, dict) and "reuse" in table:
            asked = table["reuse"]
            words = (asked,) if isinstance(asked, str) else tuple(asked)
            recipes = tuple(renewed({"reuse": word})["recipe"] for word in words)
            return {**{k: v for k, v in table.items() if k != "reuse"}, "recipe": recipes}
        return table

    @field_validator("recipe")
    @classmethod
    def _known(cls, recipe: tuple[str, ...]) -> tuple[str, ...]:
        for text in recipe:
            recipe_name(text)
        return recipe


class StudyFile(_Table):
    """The contents of a study's file.

    Args:
        run: options of `cxrkeras cv` shared by all cells.
        source: the place of each source, by name: `imagenet`, a weights file, or the folder of a
            prepared dataset; or such places by backbone.
        grid: backbones and recipes, or published systems by their preset recipes' names.
        setting: the ways to transfer.
        override: options of `cxrkeras cv` for one backbone, recipe or setting, by name.
    """

    run: dict[str, Any]
    source: dict[str, str | dict[str, str]] = {}
    grid: Grid
    setting: tuple[Setting, ...] = Field(min_length=1)
    override: dict[str, dict[str, Any]] = {}


def read_study(path: Path) -> StudyFile:
    """Read and check a study's file; its cells aren't checked yet.

    Args:
        path: TOML; see `experiments/study.toml`. A key may be spelled with `-` or `_`.

    Raises:
        UserError: the file is missing or isn't valid TOML, or a table or key is unknown, missing,
            wrong or given twice.
    """
    tables = read_choices(path)
    for name in ("run", "override"):
        if isinstance(tables.get(name), dict):
            tables[name] = _spelled(tables[name], deep=name == "override")
    run = tables.get("run")
    if isinstance(run, dict) and "labels" in run:
        run |= renewed({name: run.pop(name) for name in ("labels", "label_set") if name in run})
    try:
        study = StudyFile(**tables)
    except ValidationError as error:
        raise UserError(f"{path.name}: {_said(error.errors()[0])}") from None
    _check_options("run", study.run, AXES)
    if not study.run.get("data"):
        raise UserError(
            f"{path.name}: [run] must name the prepared target as `data`, and doesn't. Prepare "
            "one with `cxrkeras prep` and add the line."
        )
    _check_names(study, path)
    return study


def _spelled(table: Mapping[str, Any], *, deep: bool) -> dict[str, Any]:
    if deep:
        return {k: _spelled(v, deep=False) if isinstance(v, dict) else v for k, v in table.items()}
    return {key.replace("-", "_"): value for key, value in table.items()}


def _said(error: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown key {place!r}. {_near(str(error['loc'][-1]), _known(error['loc']))}"
    if error["type"] == "missing":
        return f"{place!r} is missing. experiments/study.toml shows where it stands."
    return f"{place}: {error['msg']}. Received: {error['input']!r}."


def _known(place: tuple) -> list[str]:
    models = {"setting": Setting, "grid": Grid}
    return list(models.get(str(place[0]), StudyFile).model_fields)


def _near(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Allowed: {', '.join(known)}."


def _check_options(table: str, options: Mapping[str, Any], elsewhere: frozenset[str]) -> None:
    allowed = [name for name in OPTIONS if name not in elsewhere]
    for name in options:
        if name in AXES:
            raise UserError(
                f"[{table}] {name}: this belongs to the grid and the settings. Take it out of "
                f"[{table}]."
            )
        if name in elsewhere:
            raise UserError(
                f"[{table}] {name}: all cells of a study are scored alike, so only [run] may say "
                "it. Move it there."
            )
        if name not in allowed:
            raise UserError(
                f"[{table}] holds options of `cxrkeras cv`. Received: {name!r}. "
                f"{_near(name, allowed)}"
            )


def _check_names(study: StudyFile, path: Path) -> None:
    names = [setting.name for setting in study.setting]
    for what, words in (
        ("setting", [slug(name) for name in names]),
        ("backbone", study.grid.backbone),
        ("recipe", study.grid.recipe),
    ):
        if twice := sorted({word for word in words if list(words).count(word) > 1}):
            raise UserError(
                f"{path.name}: each {what} needs a name of its own. Given twice: {twice[0]!r}."
            )
    places = [*study.grid.backbone, *study.grid.recipe, *names]
    for name, options in study.override.items():
        if name not in places:
            raise UserError(
                f"{path.name}: [override.{name}] names a backbone, recipe or setting of the "
                f"grid. {_near(name, places)}"
            )
        _check_options(f"override.{name}", options, AXES | SHARED)


def slug(name: str) -> str:
    """A setting's name as part of a folder's name: `ImageNet + NIH` becomes `imagenet-nih`."""
    words = "".join(c if c.isalnum() and c.isascii() else " " for c in name.lower()).split()
    return "-".join(words) or "setting"
