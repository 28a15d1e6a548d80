"""The target dataset as a run sees it: what is learned, what is scored, which fold holds it out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxrkeras.data.dataset import PreparedDataset
from cxrkeras.data.fold_files import load_folds
from cxrkeras.data.folds import TEST, hold_out, make_folds
from cxrkeras.data.targets import targets_from_codes
from cxrkeras.training.experiment import Experiment


@dataclass(frozen=True)
class Target:
    """A dataset with its folds.

    Args:
        dataset: N images.
        targets: (N, K) what is learned: in [0, 1], or MASKED.
        truth: (N, K) what is scored: 1, 0, or MASKED where nobody knows.
        folds: (N,) the fold that holds each image out; `TEST` = none trains on it.
    """

    dataset: PreparedDataset
    targets: np.ndarray
    truth: np.ndarray
    folds: np.ndarray

    @property
    def fold_numbers(self) -> list[int]:
        """The folds in order, without the test set."""
        return sorted(set(self.folds.tolist()) - {TEST})


def load_target(
    experiment: Experiment, dataset: PreparedDataset, folds_file: Path | None
) -> Target:
    """Make the target's labels and share it out.

    Args:
        experiment: policies for labels, and how to make folds.
        dataset: the target.
        folds_file: folds that were made before; None makes them as the experiment says.

    Raises:
        UserError: for folds that can't be made or used.
    """
    truth = targets_from_codes(dataset.codes, uncertain="ignore", blank=experiment.blank)
    targets = targets_from_codes(
        dataset.codes, uncertain=experiment.uncertain, blank=experiment.blank
    )
    if folds_file:
        folds = load_folds(folds_file, dataset.images, dataset.patients)
    else:
        folds = _make(experiment, truth, dataset.patients)
    return Target(dataset, targets, truth, folds)


def _make(experiment: Experiment, truth: np.ndarray, patients: np.ndarray) -> np.ndarray:
    folds = np.full(len(truth), TEST)
    learn = np.ones(len(truth), bool)
    if experiment.test_fraction:
        learn = ~hold_out(truth, patients, experiment.test_fraction, experiment.seed)
    folds[learn] = make_folds(truth[learn], patients[learn], experiment.folds, experiment.seed)
    return folds
