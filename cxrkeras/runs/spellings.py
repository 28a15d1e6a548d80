"""Old spellings of choices, read for one release and turned into today's."""

from collections.abc import Mapping
from typing import Any

from data_prep.errors import UserError
from data_prep.say import say

OLD = ("reuse",)
"""Choices that were options of `cxrkeras cv` and have another name today."""


def renewed(choices: Mapping[str, Any]) -> dict[str, Any]:
    """The choices by today's names, with a warning for each that had another.

    Raises:
        UserError: a choice is given under both names.
    """
    new = dict(choices)
    reuse, sets = (new.pop(name, None) for name in (*OLD, "labels"))
    copies = new.pop("views") if isinstance(new.get("views"), int) else None
    if reuse is not None:
        if "recipe" in new:
            raise UserError("--reuse is now --recipe. Give --recipe alone.")
        new["recipe"] = "frozen" if reuse == "layers" else reuse
        say(f"Warning: --reuse {reuse} is now --recipe {new['recipe']}.")
    if copies is not None:
        say(f"Warning: --views {copies} is now --recipe frozen:copies={copies}.")
        if new.get("recipe") == "frozen":
            new["recipe"] = f"frozen:copies={copies}"
    if sets:  # an earlier run's experiment.toml names it even where nothing was chosen
        if "label_set" in new:
            raise UserError("--labels is now --label-set. Give --label-set alone.")
        new["label_set"] = sets
        say("Warning: --labels is now --label-set.")
    return new
