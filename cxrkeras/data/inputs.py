"""What a model may be told beside the image: age, sex and view, as numbers.

Each is one float32 per image, and UNKNOWN where nobody knows. `models.inputs` scales them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from data_prep.errors import UserError
from data_prep.films.views import admits

IMAGE = "image"
UNKNOWN = -1.0
OLDEST = 120.0  # years; what is above is an error of the table


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
"""Name of an input -> what a cell of a table says as a number: years; 0 female, 1 male; 0 PA, 1 AP,
2 lateral."""


def check_inputs(names: Sequence[str]) -> tuple[str, ...]:
    """The inputs in their order, `image` first.

    Raises:
        UserError: for one that there isn't, or one given twice.
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
    """(N, 1) float32 of an input from N cells of a table; see `KNOWN`."""
    return np.array([[KNOWN[name](cell or "")] for cell in cells], np.float32).reshape(-1, 1)


def select(names: Sequence[str], given: Mapping[str, np.ndarray]) -> "np.ndarray | dict":
    """Exactly the inputs of a model, as its Keras model takes them.

    Keras only warns of a key too many, and then mixes the inputs up.

    Args:
        names: of the model, `image` among them.
        given: arrays of B rows; of those that are missing nothing is known.

    Returns:
        The images alone for a model of images, else a dictionary.
    """
    if tuple(names) == (IMAGE,):
        return given[IMAGE]
    rows = len(given[IMAGE])
    unknown = np.full((rows, 1), UNKNOWN, np.float32)
    return {name: given.get(name, unknown) for name in names}
