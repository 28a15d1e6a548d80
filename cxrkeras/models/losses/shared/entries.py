"""Which entries of a batch a loss may look at, and which logits are whose."""

from keras import ops

NEVER = -1e4
"""The logit of a class that a label doesn't have: exp(NEVER) is 0 even in float64."""


def known_targets(y_true):
    """Split targets with masked entries.

    Args:
        y_true: (N, K) float tensor; negative, NaN or UNCERTAIN_CLASS = masked. Or (N, K, 2), with
            weights.

    Returns:
        Tensors (N, K): the targets with 0 at masked entries, and where known their weight, or 1,
        else 0.
    """
    y, weight = value_and_weight(y_true)
    known = ops.logical_and(y >= 0, y <= 1)
    return ops.where(known, y, 0.0), ops.where(known, weight, 0.0)


def value_and_weight(y_true):
    """Targets (N, K) or (N, K, 2) as values and weights, (N, K) each."""
    if len(y_true.shape) == 2:
        return y_true, ops.ones_like(y_true)
    return y_true[..., 0], y_true[..., 1]


def binary_logits(y_true, y_pred):
    """The logits f (N, K) of positive against negative, of logits (N, K) or (N, 2K)."""
    return y_pred[:, : y_true.shape[1]]
