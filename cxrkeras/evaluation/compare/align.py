"""Aligns the predictions of several runs on the same images in the same order, or refuses."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cxrkeras.evaluation.scores.predictions import Predictions
from data_prep.errors import UserError


def align(
    named: Mapping[str, Predictions], *, common: bool = False
) -> tuple[dict[str, Predictions], list[str]]:
    """Align predictions with the images and the order of images and labels of the first.

    Args:
        named: at least two, by name.
        common: whether to keep only the images that all have, instead of refusing.

    Returns:
        The aligned predictions, and notes on what was left out or differs.

    Raises:
        UserError: there are fewer than two, or labels, images or truth differ.
    """
    if len(named) < 2:
        raise UserError(f"A comparison needs at least two runs. Received: {len(named)}. Add a run.")
    (first, reference), *others = named.items()
    for name, other in others:
        _same_labels(first, reference, name, other)
    shared, notes = _shared(named, common)
    chosen = [image for image in reference.images if image in shared]
    aligned = {name: _chosen(p, chosen, reference.labels) for name, p in named.items()}
    for name, _ in others:
        _same_truth(first, aligned[first], name, aligned[name])
    if any(p.folds != aligned[first].folds for p in aligned.values()):
        notes.append("The folds differ between the runs, which may explain part of a difference.")
    return aligned, notes


def _same_labels(first: str, reference: Predictions, name: str, other: Predictions) -> None:
    ours, theirs = set(reference.labels), set(other.labels)
    if ours != theirs:
        parts = [
            f"only {owner} has {', '.join(sorted(labels))}"
            for owner, labels in ((first, ours - theirs), (name, theirs - ours))
            if labels
        ]
        raise UserError(
            f"Runs must have the same labels. Received: {'; '.join(parts)}. Compare runs on the "
            "same data."
        )


def _shared(named: Mapping[str, Predictions], common: bool) -> tuple[set[str], list[str]]:
    images = {name: set(p.images) for name, p in named.items()}
    shared = set.intersection(*images.values())
    left = {name: len(own - shared) for name, own in images.items() if own - shared}
    if not left:
        return shared, []
    counts = ", ".join(f"{name} {count:,}" for name, count in left.items())
    if not shared:
        raise UserError(
            "Runs must have the same images. Received: runs without a common image. Compare runs "
            "on the same data."
        )
    if not common:
        raise UserError(
            f"Runs must have the same images. Received: {len(shared):,} in all runs, and others: "
            f"{counts}. Give --common to compare on those in all runs."
        )
    return shared, [f"Only the {len(shared):,} images common to all; left out: {counts}."]


def _chosen(predictions: Predictions, images: list[str], labels: tuple[str, ...]) -> Predictions:
    place = {image: row for row, image in enumerate(predictions.images)}
    rows = np.array([place[image] for image in images])
    columns = [predictions.labels.index(label) for label in labels]
    return replace(
        predictions,
        images=tuple(images),
        patients=tuple(predictions.patients[row] for row in rows),
        folds=tuple(predictions.folds[row] for row in rows),
        labels=labels,
        prob=predictions.prob[np.ix_(rows, columns)],
        truth=predictions.truth[np.ix_(rows, columns)],
    )


def _same_truth(first: str, reference: Predictions, name: str, other: Predictions) -> None:
    ours, theirs = reference.truth, other.truth
    differs = (ours != theirs) & ~(np.isnan(ours) & np.isnan(theirs))
    if differs.any():
        labels = np.array(reference.labels)[differs.any(axis=0)]
        raise UserError(
            f"Runs must have the same truth. Received: {first} and {name} disagree in "
            f"{int(differs.sum()):,} entries, of {', '.join(labels)}. Score both with one table "
            "of labels."
        )
