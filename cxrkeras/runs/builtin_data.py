"""The built-in data, for a `cv` without --data: phantoms, at a size that suits them."""

from typing import Any

from cxrkeras.runs.presets import everyday
from data_prep.say import say

_PRESET = "quick"  # what a small machine can learn from the phantoms in minutes


def with_builtin_data(choices: dict[str, Any], datasets: Any) -> dict[str, Any]:
    """Fill in the built-in data and settings where no `data` is chosen.

    Args:
        choices: of an experiment, by field name.
        datasets: returns the folders (target, hospital a, hospital b), making them if necessary.

    Returns:
        The completed choices.
    """
    if choices.get("data"):
        return choices
    say("No --data given: using the built-in phantoms (synthetic radiographs), at a small size.")
    target, hospital_a, hospital_b = datasets()
    filled = {**everyday(_PRESET), **choices, "data": str(target)}
    if filled.get("method") == "cotrain" and not filled.get("source"):
        filled["source"] = (f"a={hospital_a}", f"b={hospital_b}")
    return filled
