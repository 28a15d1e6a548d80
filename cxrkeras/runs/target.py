"""The target dataset as a run sees it: what is learnt and scored, and which fold holds it out."""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from cxrkeras.data.dataset import PreparedDataset, read_labels
from cxrkeras.data.folds.files import load_folds
from cxrkeras.data.folds.folds import TEST, hold_out, make_folds
from cxrkeras.data.labels.targets import Targets, targets_from_codes
from cxrkeras.data.labels.uncertain import check_labels, policies_for
from cxrkeras.runs.experiment import Experiment
from data_prep.errors import UserError


@dataclass(frozen=True)
class Target:
    """A dataset with its folds.

    Args:
        dataset: N images.
        targets: (N, K) what is learnt.
        truth: (N, K) what is scored: 1, 0, or MASKED where it is unknown.
        folds: (N,) the fold that holds each image out; no fold trains on `TEST`.
    """

    dataset: PreparedDataset
    targets: Targets
    truth: np.ndarray
    folds: np.ndarray

    @property
    def fold_numbers(self) -> list[int]:
        """The folds in order, without the test set."""
        return sorted(set(self.folds.tolist()) - {TEST})


def load_target(
    experiment: Experiment, dataset: PreparedDataset, folds_file: Path | None
) -> Target:
    """Make the target's labels and assign its images to folds.

    Args:
        experiment: the label policies, and how to make folds.
        dataset: the target.
        folds_file: folds made earlier; None makes them as the experiment says.

    Raises:
        UserError: the folds can't be made or used.
    """
    truth = targets_from_codes(dataset.codes, uncertain="ignore", blank=experiment.blank).values
    targets = learned_targets(experiment, dataset)
    if folds_file:
        folds = load_folds(folds_file, dataset.images, dataset.patients, dataset.digests)
    else:
        order = np.argsort(dataset.images)  # whatever the order of the manifest's rows
        folds = np.empty(len(dataset), int)
        folds[order] = _make(experiment, truth[order], dataset.patients[order])
    return Target(dataset, targets, truth, folds)


def as_used(experiment: Experiment, target: Target) -> Experiment:
    """The experiment with the number of folds and the test set of `--folds-file`."""
    if not experiment.folds_file:
        return experiment
    share = round(float((target.folds == TEST).mean()), 4)
    found = {"folds": len(target.fold_numbers), "test_fraction": share}
    return experiment.model_copy(update=found)


def check_folds(experiment: Experiment, target: Target) -> None:
    """Check that the folds that were asked for are those of `--folds-file`.

    Raises:
        UserError: the number of folds differs, or only one side has a test set.
    """
    used = as_used(experiment, target)
    for name, asked, has in (
        ("folds", experiment.folds, used.folds),
        ("test_fraction", experiment.test_fraction > 0, used.test_fraction > 0),
    ):
        if name in experiment.model_fields_set and asked != has:
            option, value = name.replace("_", "-"), getattr(experiment, name)
            raise UserError(
                f"--folds-file determines the number of folds and the test set: {used.folds} "
                f"folds, a test set of {used.test_fraction:g}. Received: {option} {value:g}. "
                f"Leave out {option}."
            )


def learned_targets(experiment: Experiment, dataset: PreparedDataset) -> Targets:
    """The training targets that a dataset's codes become under the experiment's policies."""
    policies = policies_for(experiment.uncertain, dataset.labels)
    return targets_from_codes(
        dataset.codes,
        uncertain=policies,
        blank=experiment.blank,
        blank_weight=experiment.blank_weight,
    )


def check_uncertain(experiment: Experiment) -> None:
    """Check that each label named by `--uncertain` is in some dataset of the run.

    Raises:
        UserError: naming labels that no dataset has, or a dataset that can't be read.
    """
    learned = [
        experiment.labels_of(link.name) or read_labels(link.folder)
        for link in experiment.source_datasets
    ]
    if experiment.data:
        learned.append(experiment.labels_of() or read_labels(Path(experiment.data)))
    check_labels(experiment.uncertain, chain.from_iterable(learned))


def _make(experiment: Experiment, truth: np.ndarray, patients: np.ndarray) -> np.ndarray:
    folds = np.full(len(truth), TEST)
    learn = np.ones(len(truth), bool)
    if experiment.test_fraction:
        learn = ~hold_out(truth, patients, experiment.test_fraction, experiment.seed)
    folds[learn] = make_folds(truth[learn], patients[learn], experiment.folds, experiment.seed)
    return folds
