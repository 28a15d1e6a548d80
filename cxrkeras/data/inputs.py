"""A model's inputs beside the image: age, sex and view, as numbers.

Each is one float32 per image, UNKNOWN where the value is not known. `models.inputs` scales them.
"""

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
    letters = text.strip().upper()
    if letters and admits("lateral", letters):
        return 2.0
    return {"PA": 0.0, "AP": 1.0}.get(letters, UNKNOWN)


KNOWN: dict[str, Callable[[str], float]] = {"age": _age, "sex": _sex, "view": _view}
"""{input: a function from a table's cell to a number}: years; 0 female, 1 male; 0 PA, 1 AP, 2
lateral."""


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


def select(names: Sequence[str], given: Mapping[str, np.ndarray]) -> "np.ndarray | dict":
    """Select exactly the inputs of a model, as its Keras model takes them.

    With an extra key, Keras only warns and then mixes up the inputs.

    Args:
        names: the model's inputs, including `image`.
        given: arrays of B rows; missing inputs count as unknown.

    Returns:
        The images alone if the model takes nothing else, otherwise a dictionary.
    """
    if tuple(names) == (IMAGE,):
        return given[IMAGE]
    rows = len(given[IMAGE])
    unknown = np.full((rows, 1), UNKNOWN, np.float32)
    return {name: given.get(name, unknown) for name in names}
