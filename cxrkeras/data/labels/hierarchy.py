"""A graph of labels: a finding that is a kind of another one is positive only where that one is."""

from collections.abc import Mapping, Sequence

import numpy as np

from cxrkeras.data.labels.entries import MASKED
from cxrkeras.data.labels.targets import Targets
from data_prep.errors import UserError
from data_prep.tables.vocabulary import canonical

GRAPHS: dict[str, dict[str, str]] = {
    "chexpert": {
        "Cardiomegaly": "Enlarged Cardiomediastinum",
        "Lung Lesion": "Lung Opacity",
        "Edema": "Lung Opacity",
        "Consolidation": "Lung Opacity",
        "Pneumonia": "Consolidation",
        "Atelectasis": "Lung Opacity",
    },
}
"""{name: {child: parent}}; CheXpert's is that of Irvin et al., AAAI 2019 (figure 1)."""


def parse_parents(text: str) -> dict[str, str]:
    """A graph: one of `GRAPHS`, or `CHILD<PARENT` joined by semicolons.

    Raises:
        UserError: it is neither, a child has two parents, or a finding is its own ancestor.
    """
    if text in GRAPHS:
        return GRAPHS[text]
    parents: dict[str, str] = {}
    for edge in text.split(";"):
        child, below, parent = (word.strip() for word in edge.partition("<"))
        if not (child and below and parent) or "<" in parent:
            raise UserError(
                f"A label graph is {', '.join(GRAPHS)}, or CHILD<PARENT joined by semicolons. "
                f"Received: {edge.strip()!r}."
            )
        if parents.setdefault(child, parent) != parent:
            raise UserError(
                f"In a label graph a child has one parent. {child} has {parents[child]} and "
                f"{parent}. Give one."
            )
    for child in parents:
        seen, above = {canonical(child)}, {canonical(c): canonical(p) for c, p in parents.items()}
        name = canonical(child)
        while (name := above.get(name)) is not None:
            if name in seen:
                raise UserError(f"In a label graph no finding is its own ancestor. {child} is.")
            seen.add(name)
    return parents


def places_of_parents(labels: Sequence[str], parents: Mapping[str, str]) -> np.ndarray:
    """(K,) the place of each label's nearest ancestor among the labels; -1 where it has none.

    Args:
        labels: K names, as any archive spells them.
        parents: {child: parent}.
    """
    above = {canonical(child): canonical(parent) for child, parent in parents.items()}
    places = {canonical(label): place for place, label in enumerate(labels)}
    found = []
    for label in labels:
        name = above.get(canonical(label))
        while name is not None and name not in places:
            name = above.get(name)
        found.append(places.get(name, -1))
    return np.array(found)


def upwards(targets: Targets, parents: np.ndarray) -> Targets:
    """Targets in which a parent is at least what its children are.

    A parent's negative, uncertain or masked entry becomes positive where a child is: the finding
    implies it, and there is nothing left to guess or to doubt.

    Args:
        targets: of K labels.
        parents: (K,) as `places_of_parents` gives them.
    """
    values = targets.values.copy()
    for child in sorted(range(len(parents)), key=lambda place: -_depth(place, parents)):
        if parents[child] >= 0:
            parent, own = values[:, parents[child]], values[:, child]
            implied = (own == 1) & (parent != 1)
            values[:, parents[child]] = np.where(implied, np.float32(1), parent)
    changed = values != targets.values
    spread, guessed, weights = targets.spread, targets.guessed, targets.weights
    return Targets(
        values,
        None if spread is None else np.where(changed, np.float32(0), spread),
        None if guessed is None else guessed & ~changed,
        None if weights is None else np.where(changed, np.float32(1), weights),
    )


def conditional(targets: Targets, parents: np.ndarray) -> Targets:
    """Targets whose children are masked except where their parent is positive (0.5 or more)."""
    above = targets.values[:, np.maximum(parents, 0)]
    hidden = (parents >= 0) & ~((above >= 0.5) & (above <= 1))
    values = np.where(hidden, np.float32(MASKED), targets.values)
    spread = None if targets.spread is None else np.where(hidden, np.float32(0), targets.spread)
    guessed = None if targets.guessed is None else targets.guessed & ~hidden
    return Targets(values, spread, guessed, targets.weights)


def ancestors(parents: np.ndarray) -> list[np.ndarray]:
    """[(K,) places]: each label's parent, its parent's parent, …; K where there is none."""
    steps, place = [], np.where(parents >= 0, parents, len(parents))
    extended = np.append(np.where(parents >= 0, parents, len(parents)), len(parents))
    while (place < len(parents)).any():
        steps.append(place)
        place = extended[place]
    return steps


def _depth(place: int, parents: np.ndarray) -> int:
    depth = 0
    while (place := parents[place]) >= 0:
        depth += 1
    return depth
