"""One label space of several datasets: `--joint merged`."""

from collections.abc import Mapping, Sequence

from data_prep.errors import UserError
from data_prep.tables.vocabulary import canonical


def merged_labels(labels: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The labels of several datasets, each finding once, as the first dataset spells it.

    Args:
        labels: {dataset: its labels}.

    Raises:
        UserError: a dataset has one finding under two names.
    """
    union: dict[str, str] = {}
    for name, own in labels.items():
        meanings = [canonical(label) for label in own]
        if len(set(meanings)) < len(meanings):
            raise UserError(
                f"Merged labels need each finding only once. {name} has one under two "
                f"names: {', '.join(own)}. Choose a --label-set, or --joint heads; or prepare it "
                "with --findings ours."
            )
        for meaning, label in zip(meanings, own, strict=True):
            union.setdefault(meaning, label)
    return tuple(union.values())


def places_in(merged: Sequence[str], labels: Sequence[str]) -> list[int]:
    """The position of each of a dataset's labels in the merged ones."""
    places = {canonical(label): place for place, label in enumerate(merged)}
    return [places[canonical(label)] for label in labels]
