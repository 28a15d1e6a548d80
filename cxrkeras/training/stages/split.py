"""Which images of a source train a stage, steer it, and score it."""

from dataclasses import dataclass

import numpy as np

from cxrkeras.data.dataset import PreparedDataset
from cxrkeras.training.fitting.learner import validation_rows
from data_prep.errors import UserError
from data_prep.say import say

TEST, VALID, HELD_OUT = "test", "valid", "held out"
_VALID_NAMES = ("valid", "validation", "val")


@dataclass(frozen=True)
class Shares:
    """Rows of a source, each (N,) bool.

    Args:
        train: what is learnt from.
        validation: what steers the learning rate and early stopping.
        scored: what the stage is scored on.
        split: where `scored` comes from: `test`, `valid`, or `held out` (the validation rows, which
            steered the training, so their scores are a little too good).
    """

    train: np.ndarray
    validation: np.ndarray
    scored: np.ndarray
    split: str


def share_out(
    dataset: PreparedDataset, targets: np.ndarray, fraction: float, seed: int, *, name: str
) -> Shares:
    """Split a source as its archive does; patients in its test and valid parts never train.

    Args:
        dataset: N images; those whose `splits` are `test` or `valid` don't train, all others do.
        targets: (N, K), for stratifying.
        fraction: of the training patients, held out to steer if the archive has no valid part; 0
            for no steering.
        seed: seed seed of that choice.
        name: the source's name, for messages.

    Raises:
        UserError: nothing is left to train on, or there are too few patients for the fraction.
    """
    splits = np.char.lower(dataset.splits.astype(str))
    test, valid = splits == TEST, np.isin(splits, _VALID_NAMES)
    kept_out = test | valid
    shared = ~kept_out & (dataset.patients != "")
    shared &= np.isin(dataset.patients, dataset.patients[kept_out])
    train = ~kept_out & ~shared
    if shared.any():
        say(
            f"source {name}: {int(shared.sum())} training images are left out, since their "
            "patients are also in its test or valid part"
        )
    if not train.any():
        raise UserError(
            f"A source needs images to train on. All {len(dataset)} of {name} are in its test or "
            "valid part (column split of its manifest). Prepare its training part too."
        )
    validation = valid if fraction and valid.any() else np.zeros(len(dataset), bool)
    if not valid.any():
        rows = np.flatnonzero(train)
        held = validation_rows(
            targets[rows], dataset.patients[rows], fraction, seed, what=f"source {name}"
        )
        validation[rows[held]] = True
        train = train & ~validation
    for rows, split in ((test, TEST), (valid, VALID)):
        if rows.any():
            return Shares(train, validation, rows, split)
    return Shares(train, validation, validation, HELD_OUT)
