"""What operating points achieve on images that they weren't fitted on, as far as is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Reached:
    """By label, in the labels' order.

    Args:
        sensitivity, specificity: K numbers, None where not known.
        where: on which images and by which model, to follow "sensitivity, specificity: "; "" where
            nothing is known.
    """

    sensitivity: tuple[float | None, ...]
    specificity: tuple[float | None, ...]
    where: str


def reached(points: Mapping[str, Mapping], labels: Sequence[str], members: int) -> Reached:
    """On the held-out test set by the model itself, else out of fold.

    Args:
        points: {label: operating point}, see `evaluation.scores.operating`.
        labels: K names.
        members: models whose mean answers.
    """
    for kind in ("held_out", "cross_fitted"):
        known = [points[label].get(kind) or {} for label in labels]
        if any(known):
            shares = (tuple(one.get(name) for one in known) for name in _SHARES)
            return Reached(*shares, _where(kind, known, members))
    return Reached((None,) * len(labels), (None,) * len(labels), "")


_SHARES = ("sensitivity", "specificity")


def _where(kind: str, known: Sequence[Mapping], members: int) -> str:
    if kind == "held_out":
        count = max(one.get("n") or 0 for one in known)
        return f"on the held-out test set{f' ({count:,} images)' if count else ''}."
    who = f"the mean of {members}, used here," if members > 1 else "this model"
    return (
        f"out of fold, by models that hadn't seen the patient; {who} decides a little differently."
    )
