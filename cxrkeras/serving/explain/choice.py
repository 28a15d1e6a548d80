"""Which labels get pictures. Imports no Keras, so that a wrong choice is said at once."""

from collections.abc import Sequence

import numpy as np

from cxrkeras.data.distortion import log_odds
from data_prep.errors import UserError


def check_choice(wanted: str, labels: Sequence[str]) -> None:
    """Check a choice before anything is loaded; see `choose`.

    Raises:
        UserError: `choose` can't make the choice; the model's labels are named.
    """
    if wanted in ("positive", "all") or _top(wanted):
        return
    if unknown := [name for name in _names(wanted) if name not in labels]:
        raise UserError(
            f"--labels must be positive, all, top3 or names of {', '.join(labels)}. Received: "
            f"{', '.join(unknown)}."
        )


def choose(
    wanted: str, labels: Sequence[str], probability: np.ndarray, thresholds: np.ndarray
) -> list[int]:
    """The columns to make pictures of, for one film.

    Args:
        wanted: `positive` (above the operating point), `all`, `topN` (the N whose odds are farthest
            above the operating point's, or least below) or names joined by commas.
        labels: K names.
        probability: (K,) float.
        thresholds: (K,) float, NaN if there is none.
    """
    if wanted == "all":
        return list(range(len(labels)))
    if wanted == "positive":
        return np.flatnonzero(probability > thresholds).tolist()
    if count := _top(wanted):
        known = np.where(np.isnan(thresholds), 0.5, thresholds)
        order = np.argsort(log_odds(known) - log_odds(probability), kind="stable")
        return order[:count].tolist()
    return [list(labels).index(name) for name in _names(wanted)]


def _top(wanted: str) -> int:
    number = wanted.removeprefix("top")
    return int(number) if number != wanted and number.isdecimal() else 0


def _names(wanted: str) -> list[str]:
    return [name.strip() for name in wanted.split(",")]
