"""Images of other datasets that teach the target's head too."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cxrkeras.data.dataset import PreparedDataset, open_dataset
from cxrkeras.data.labels.entries import MASKED, UNCERTAIN_CLASS
from cxrkeras.data.labels.meanings import Meanings
from cxrkeras.data.labels.targets import Targets
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.sources import Dataset
from cxrkeras.runs.target import Target, learned_targets
from cxrkeras.training.stages.overlap import overlap_with
from cxrkeras.training.stages.split import share_out
from data_prep.errors import UserError
from data_prep.say import say
from data_prep.tables.vocabulary import folded

_OURS = Meanings()


@dataclass(frozen=True)
class SourceRows:
    """What is learnt from one dataset beside the target.

    Args:
        name: the run's name for it.
        whole: the dataset as it was prepared, whose features are computed for any target.
        dataset: M of its images, none of the target's, nor of its patients.
        rows: (M,) which of the whole they are.
        targets: (M, K) in the target's labels; those that the dataset lacks are masked, and
            uncertain entries of a class that the target's label doesn't have.
        weight: how often an image is drawn, for each time one of the target is; above 0.
        facts: what identifies them, for the run: `weight`, `data`, `images`, `labels`, and the
            numbers of images `left_out`, by the reason.
    """

    name: str
    whole: PreparedDataset
    dataset: PreparedDataset
    rows: np.ndarray
    targets: Targets
    weight: float
    facts: dict

    def __len__(self) -> int:
        return len(self.dataset)


def source_rows(experiment: Experiment, target: Target) -> tuple[SourceRows, ...]:
    """Open the datasets of `--source-rows`, without what the target has too.

    In the leak test their labels are permuted too, or they would teach what is to be unknown.

    Raises:
        UserError: one isn't a prepared dataset, shares no label with the target, or has no image of
            its own to learn from.
    """
    found = [_opened(experiment, target, *one) for one in experiment.taught_by]
    for rows in found:
        known = int((~np.isnan(rows.targets.known)).any(axis=1).sum())
        say(
            f"source rows {rows.name}: {known} images teach {len(rows.facts['labels'])} of "
            f"{len(target.dataset.labels)} labels, at weight {rows.weight:g}"
        )
    return tuple(found)


def _opened(experiment: Experiment, target: Target, link: Dataset, weight: float) -> SourceRows:
    whole = open_dataset(link.folder, experiment.labels_of(link.name))
    overlap = overlap_with(whole, link, target.dataset)
    rows = np.flatnonzero(~overlap.seen)
    own = whole.subset(rows)
    taught = learned_targets(experiment, own)
    train = share_out(own, taught.known, 0.0, experiment.seed, name=link.name).train
    dataset, taught = own.subset(train), taught[train]
    if experiment.shuffle_labels:
        taught = taught[np.random.default_rng(experiment.seed).permutation(len(taught))]
    meaning = Meanings.of([dataset.spellings, target.dataset.spellings])
    labels, aligned = in_labels(taught, dataset.labels, target.dataset.labels, meaning)
    if not labels:
        raise UserError(
            f"--source-rows: {link.name} has no label of the target's, so it can teach none. Its "
            f"labels: {', '.join(dataset.labels)}; the target's: "
            f"{', '.join(target.dataset.labels)}. Leave it out."
        )
    unlike = (aligned.values == UNCERTAIN_CLASS) & ~target.targets.three_way
    aligned = replace(aligned, values=np.where(unlike, np.float32(MASKED), aligned.values))
    left_out = overlap.counts() | {"split": int((~train).sum())}
    facts = {
        "weight": weight,
        "data": dataset.fingerprint_with(experiment.inputs),
        "images": len(dataset),
        "labels": labels,
        "left_out": left_out,
    }
    return SourceRows(link.name, whole, dataset, rows[train], aligned, weight, facts)


def in_labels(
    targets: Targets,
    labels: Sequence[str],
    wanted: Sequence[str],
    meaning: Meanings = _OURS,
) -> tuple[list[str], Targets]:
    """Targets in other labels: (those in common, as `wanted` spells them; the targets (N, K)).

    Entries of other labels are masked, and those that a first model would guess stay so.

    Args:
        targets: (N, L).
        labels: L names, in any archive's spelling.
        wanted: K names.
        meaning: of labels.
    """
    places = {folded(meaning(label)): place for place, label in enumerate(labels)}
    found = [places.get(folded(meaning(label))) for label in wanted]
    common = [place for place, theirs in enumerate(found) if theirs is not None]
    theirs = [found[place] for place in common]
    chosen = replace(targets[:, theirs], guessed=None)
    return [wanted[place] for place in common], chosen.widened(common, len(wanted))
