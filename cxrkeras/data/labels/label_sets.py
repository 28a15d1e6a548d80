"""`--label-set`: the usual label vectors of public archives, for a target or a source."""

from collections.abc import Sequence

from data_prep.errors import UserError
from data_prep.tables.vocabulary import CHEXPERT5, CHEXPERT14, NIH14, NIH15

LABEL_SETS: dict[str, tuple[str, ...]] = {
    "nih14": NIH14,
    "nih15": NIH15,
    "chexpert14": CHEXPERT14,
    "chexpert5": CHEXPERT5,
}
TARGET = ""
"""The key of the target among the sources' names."""


def parse_label_sets(words: Sequence[str]) -> dict[str, str]:
    """Parse label sets: `chexpert5` is the target's, `NAME=chexpert5` that of the source NAME.

    Args:
        words: the `--label-set` options; each may hold several, joined by commas.

    Returns:
        {source name, or `TARGET`: key of `LABEL_SETS`}.

    Raises:
        UserError: a set doesn't exist, or a dataset is given two.
    """
    sets: dict[str, str] = {}
    for word in (part.strip() for text in words for part in text.split(",")):
        name, equals, chosen = word.rpartition("=")
        if chosen not in LABEL_SETS or (equals and not name):
            raise UserError(
                f"--label-set takes {', '.join(LABEL_SETS)} for the target, or NAME=SET for the "
                f"source NAME. Received: {word!r}."
            )
        if name in sets:
            raise UserError(
                f"--label-set gives {name or 'the target'} two sets: {sets[name]} and {chosen}. "
                "Give one."
            )
        sets[name] = chosen
    return sets
