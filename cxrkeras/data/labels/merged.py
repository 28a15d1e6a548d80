"""One label space of several datasets: `--joint merged`."""

from collections.abc import Mapping, Sequence

from cxrkeras.data.labels.meanings import Meanings
from data_prep.errors import UserError

_OURS = Meanings()


def merged_labels(
    labels: Mapping[str, Sequence[str]], meaning: Meanings = _OURS
) -> tuple[str, ...]:
    """The labels of several datasets, each finding once, as the first dataset spells it.

    Args:
        labels: {dataset: its labels}.
        meaning: of labels.

    Raises:
        UserError: a dataset has one finding under two names.
    """
    union: dict[str, str] = {}
    for name, own in labels.items():
        meanings = [meaning(label) for label in own]
        if len(set(meanings)) < len(meanings):
            raise UserError(
                f"Merged labels need each finding only once. {name} has one under two "
                f"names: {', '.join(own)}. Choose a --label-set, or --joint heads; or prepare it "
                "with --findings ours."
            )
        for finding, label in zip(meanings, own, strict=True):
            union.setdefault(finding, label)
    return tuple(union.values())


def places_in(merged: Sequence[str], labels: Sequence[str], meaning: Meanings = _OURS) -> list[int]:
    """The position of each of a dataset's labels in the merged ones."""
    places = {meaning(label): place for place, label in enumerate(merged)}
    return [places[meaning(label)] for label in labels]
