"""The built-in data, for a `cv` without --data: phantoms, at a size that suits them."""

from typing import Any

from data_prep.say import say

# What a small machine can learn from the phantoms in minutes; every value can be overridden.
_SETTINGS = {
    "image_size": 64,
    "folds": 3,
    "epochs": 6,
    "source_epochs": 7,
    "learning_rate": 5e-4,
    "source_learning_rate": 1e-3,
    "augment": "light",
}


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
    filled = {**_SETTINGS, **choices, "data": str(target)}
    if filled.get("method") == "cotrain" and not filled.get("source"):
        filled["source"] = (f"a={hospital_a}", f"b={hospital_b}")
    return filled
