"""Which entries of a batch a loss may look at, and which logits are whose."""

from keras import ops

NEVER = -1e4
"""The logit of a class that a label doesn't have: exp(NEVER) is 0 even in float64."""


def known_targets(y_true):
    """Split targets with masked entries.

    Args:
        y_true: (N, K) float tensor; negative, NaN or UNCERTAIN_CLASS = masked.

    Returns:
        Tensors (N, K): the targets with 0 at masked entries, and 1 where known, else 0.
    """
    known = ops.logical_and(y_true >= 0, y_true <= 1)
    return ops.where(known, y_true, 0.0), ops.cast(known, y_true.dtype)


def binary_logits(y_true, y_pred):
    """The logits f (N, K) of positive against negative, of logits (N, K) or (N, 2K)."""
    return y_pred[:, : y_true.shape[-1]]
