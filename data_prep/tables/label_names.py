"""What labels may be called, and how many there may be: one rule for preparing and for reading."""

from collections import Counter
from collections.abc import Sequence

from data_prep.errors import UserError

MOST = 1000
LONGEST = 500  # characters
_RENAME = "Rename it in the table, or name the labels without it."


def fault(label: str) -> str:
    """Why a text can't be a label's name; "" where it can."""
    if not label.strip() or not label.isprintable():
        return "must be words on one line, with plain blanks between them"
    return f"must have {LONGEST} characters at most" if len(label) > LONGEST else ""


def check_labels(labels: Sequence[str], columns: Sequence[str]) -> None:
    """Refuse labels that a prepared dataset can't have.

    Args:
        labels: their names.
        columns: of the manifest besides them.

    Raises:
        UserError: there are too many, a name is taken or twice, or can't be one.
    """
    if len(labels) > MOST:
        raise UserError(
            f"A dataset has {MOST:,} labels at most. Received: {len(labels):,}. Name those that "
            "you want."
        )
    twice = [label for label, count in Counter((*columns, *labels)).items() if count > 1]
    if twice:
        raise UserError(
            f"A label can't be called {twice[0]!r}: the manifest has such a column already. "
            + _RENAME
        )
    for label in labels:
        if wrong := fault(label):
            raise UserError(f"A label's name {wrong}. Received: {label[:60]!r}. {_RENAME}")
