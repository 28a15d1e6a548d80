"""What a target entry may be besides a value in [0, 1], what it weighs, and what a blank becomes.

Where entries weigh differently, targets are (N, K, 2): a value and a weight in [0, 1]. An entry of
weight w counts as w entries: in sums, means and counts, of a loss as of what follows from them.
"""

import numpy as np

MASKED = -1.0
"""A target entry that no loss or metric counts. Any negative target counts as masked."""

UNCERTAIN_CLASS = 2.0
"""The target of an entry that belongs to a label's third class, "uncertain"."""

BLANK: dict[str, float] = {"zeros": 0.0, "ignore": MASKED, "self_trained": MASKED}
"""`--blank`: the target of a finding that isn't mentioned."""

GUESSED_BLANK = "self_trained"
"""Where a blank is masked at first, and then guessed as by the label policy of this name."""


def value_and_weight(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Targets (N, K) or (N, K, 2) as values (N, K) and float64 weights (N, K)."""
    if targets.ndim == 2:
        return targets, np.ones(targets.shape)
    return targets[..., 0], targets[..., 1].astype(np.float64)
