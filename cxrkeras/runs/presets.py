"""Presets: choices by name, a TOML file each, which all that is chosen otherwise overrides.

Those of published systems, given as `--recipe`, lie in `experiments/recipes/`; the link beside this
file lets an installed package hold them too. Those for every day, given as `--preset`, lie in
`everyday/`. A preset may name a recipe (a part) itself.
"""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cxrkeras.registry import RECIPES
from data_prep.errors import UserError

_HERE = Path(__file__).parent
_PLACES = (_HERE / "recipes", _HERE.parents[1] / "experiments" / "recipes")
_EVERYDAY = _HERE / "everyday"


def everyday_names() -> list[str]:
    """The names that `--preset` takes."""
    return sorted(path.stem for path in _EVERYDAY.glob("*.toml"))


def everyday_line(name: str) -> str:
    """What an everyday preset is, in a sentence."""
    return _first_line(_everyday_text(name))


def everyday(name: str) -> dict[str, Any]:
    """The choices of an everyday preset, by field name.

    Raises:
        UserError: there is none of that name.
    """
    return _choices(_everyday_text(name))


def _everyday_text(name: str) -> str:
    if name not in everyday_names():
        raise UserError(
            f"--preset must be one of {', '.join(everyday_names())}. Received: {name!r}."
        )
    return (_EVERYDAY / f"{name}.toml").read_text(encoding="utf-8")


def preset_names() -> list[str]:
    """The names of all published systems."""
    return sorted(_files())


def preset_text(name: str) -> str:
    """The file of a preset: its source, published score, costs and choices."""
    return _files()[name].read_text(encoding="utf-8")


def preset_line(name: str) -> str:
    """What a preset is, in a sentence: the first line of its file."""
    return _first_line(preset_text(name))


def recipe_name(text: str) -> str:
    """The name at the beginning of `--recipe`'s value: a part's, with or without options, or a
    preset's.

    Raises:
        UserError: it is neither, or a preset is given options.
    """
    name, colon, _ = text.partition(":")
    name = name.strip().replace("-", "_")
    presets, parts = preset_names(), RECIPES.names()
    if name in presets:
        if colon:
            raise UserError(
                f"--recipe {name} takes no options: give the options of `cxrkeras cv` beside it, "
                f"which go over the recipe's. Received: {text!r}."
            )
        return name
    if name in parts:
        return name
    near = get_close_matches(name, [*parts, *presets], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UserError(
        f"--recipe must be one of {', '.join(parts)}, or a published system (`cxrkeras parts "
        f"recipes` lists them). Received: {text!r}.{hint}"
    )


def with_preset(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in the choices of the preset that `recipe` names, if it does.

    Args:
        choices: by field name; they go over the preset's, except for `recipe` itself.

    Returns:
        The choices, with the preset's name as `preset`.

    Raises:
        UserError: `recipe` names nothing that there is.
    """
    asked = choices.get("recipe")
    if not isinstance(asked, str):
        return dict(choices)
    name = recipe_name(asked)
    if name not in _files():
        return dict(choices)  # a part
    own = {key: value for key, value in choices.items() if key != "recipe"}
    return {**_choices(preset_text(name)), **own, "preset": name}


def _first_line(text: str) -> str:
    return text.partition("\n")[0].removeprefix("#").strip().removeprefix("What:").strip()


def _choices(text: str) -> dict[str, Any]:
    return {key.replace("-", "_"): value for key, value in tomllib.loads(text).items()}


def _files() -> dict[str, Path]:
    folder = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
    return {path.stem: path for path in folder.glob("*.toml")}
