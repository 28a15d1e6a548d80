"""A model's inputs beside the image: age, sex and view, as numbers.

Each is one float32 per image, UNKNOWN where the value is not known. `models.inputs` scales them.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from data_prep.errors import UserError
from data_prep.films.views import admits

IMAGE = "image"
UNKNOWN = -1.0
OLDEST = 120.0  # years; anything above is an error in the table


def _age(text: str) -> float:
    try:
        years = float(text)
    except ValueError:
        return UNKNOWN
    return years if 0 <= years <= OLDEST else UNKNOWN


def _sex(text: str) -> float:
    return {"F": 0.0, "M": 1.0}.get(text.strip().upper()[:1], UNKNOWN)


def _view(text: str) -> float:
    if text.strip() and admits("lateral", text):
        return 2.0
    words = re.split(r"[\s\-_/]+", text.strip().upper())  # `AP ERECT`
    found = {"PA", "AP"}.intersection(words)
    return {"PA": 0.0, "AP": 1.0}[found.pop()] if len(found) == 1 else UNKNOWN


KNOWN: dict[str, Callable[[str], float]] = {"age": _age, "sex": _sex, "view": _view}
"""{input: a function from a table's cell to a number}."""
MEANINGS = {
    "age": "years; -1 unknown",
    "sex": "0 female, 1 male; -1 unknown",
    "view": "0 PA, 1 AP, 2 lateral; -1 unknown",
}
"""What the numbers mean, for those who use an exported model."""


def check_inputs(names: Sequence[str]) -> tuple[str, ...]:
    """Check the inputs and return them in order, `image` first.

    Raises:
        UserError: an input doesn't exist, or is given twice.
    """
    words = [word.strip() for name in names for word in name.split(",")]
    wrong = [word for word in words if word != IMAGE and word not in KNOWN]
    if wrong or len(set(words)) < len(words):
        raise UserError(
            f"--inputs takes {', '.join((IMAGE, *KNOWN))}, each once, joined by commas. Received: "
            f"{','.join(words)!r}."
        )
    return (IMAGE, *(name for name in KNOWN if name in words))


def as_numbers(name: str, cells: Iterable[str]) -> np.ndarray:
    """Turn N cells of a table into (N, 1) float32 of an input; see `KNOWN`."""
    return np.array([[KNOWN[name](cell or "")] for cell in cells], np.float32).reshape(-1, 1)


def select(given: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Exactly a model's inputs: an extra one would make Keras give wrong numbers, with a warning.

    Args:
        given: (B, …) arrays by name; numbers may be (B,). One of `KNOWN` that is missing counts as
            unknown.
        names: the model's.

    Returns:
        Those, in the names' order; numbers as (B, 1).

    Raises:
        UserError: a picture is missing.
    """
    if missing := [name for name in names if name not in given and name not in KNOWN]:
        raise UserError(
            f"This model's inputs are {', '.join(names)}. Missing: {', '.join(missing)}. Give them "
            "too."
        )
    rows = len(next(iter(given.values())))
    unknown = np.full((rows, 1), UNKNOWN, np.float32)
    arrays = {name: np.asarray(given.get(name, unknown)) for name in names}
    return {name: v[:, None] if v.ndim == 1 else v for name, v in arrays.items()}


def further(names: Iterable[str]) -> tuple[str, ...]:
    """Of a model's inputs those beside the image."""
    return tuple(name for name in names if name != IMAGE)
