"""Preset recipes: the choices of published systems, by name, a TOML file each.

`experiments/recipes/` holds them; the link beside this file lets an installed package hold them
too. A preset's choices lie below all others, and may name a recipe (a part) themselves.
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


def preset_names() -> list[str]:
    """The names of all presets."""
    return sorted(_files())


def preset_text(name: str) -> str:
    """The file of a preset: its source, published score, costs and choices."""
    return _files()[name].read_text(encoding="utf-8")


def preset_line(name: str) -> str:
    """What a preset is, in a sentence: the first line of its file."""
    first = preset_text(name).partition("\n")[0]
    return first.removeprefix("#").strip().removeprefix("What:").strip()


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
    preset = tomllib.loads(preset_text(name))
    return {**{key.replace("-", "_"): preset[key] for key in preset}, **own, "preset": name}


def _files() -> dict[str, Path]:
    folder = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
    return {path.stem: path for path in folder.glob("*.toml")}
