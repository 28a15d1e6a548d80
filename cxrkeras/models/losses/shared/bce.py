"""Binary cross-entropy from logits with masked entries, plain and batch-weighted, as layers.

Targets are (N, K) with values in [0, 1]; a negative (or NaN) target masks its entry, which then has
loss 0 and gradient exactly 0. A batch without a known entry has loss 0. Soft targets are allowed.
Targets (N, K, 2) are such values and weights: an entry of weight w counts as w entries.

Logits are (N, K), or (N, 2K) where labels have a third class, "uncertain" (U-MultiClass of Irvin et
al. 2019): f, then u. The classes negative, positive and uncertain of a label have the softmax over
(0, f, u). A softmax doesn't change when one number is added to all its logits, so fixing the first
at 0 takes nothing away, and among positive and negative alone the probability is sigmoid(f),
whatever u is. A label without that class has u = NEVER, which leaves exactly the binary loss.
UNCERTAIN_CLASS is the target of an uncertain entry; where u is NEVER it is masked.
"""

import keras
from keras import ops

from cxrkeras.data.labels.entries import UNCERTAIN_CLASS
from cxrkeras.models.losses.shared.entries import (
    NEVER,
    binary_logits,
    known_targets,
    value_and_weight,
)


def _classes(y_true, y_pred):
    """How far each entry belongs to each class, and what it costs there.

    Returns:
        Pairs for positive, negative and uncertain: shares (N, K) in [0, 1], and -ln of the class's
        probability (N, K).
    """
    y, known = known_targets(y_true)
    shares, f = [known * y, known * (1 - y)], binary_logits(y_true, y_pred)
    costs = [ops.softplus(-f), ops.softplus(f)]
    if y_pred.shape[-1] == y_true.shape[1]:
        return list(zip(shares, costs, strict=True))
    u = y_pred[:, y_true.shape[1] :]
    against = ops.softplus(f)  # the log of 1 + exp(f): the odds against which u stands
    certain = ops.softplus(u - against)
    values, weight = value_and_weight(y_true)
    uncertain = ops.logical_and(values == UNCERTAIN_CLASS, u > NEVER)
    shares.append(ops.where(uncertain, weight, 0.0))
    costs = [costs[0] + certain, costs[1] + certain, ops.softplus(against - u)]
    return list(zip(shares, costs, strict=True))


@keras.saving.register_keras_serializable("cxrkeras")
class MaskedBCE(keras.layers.Layer):
    """Binary cross-entropy from logits, the mean over the unmasked entries of the batch.

    The mean is over entries, not over images: an image with few known labels counts for less.

    Call arguments: targets (N, K) and logits (N, K) or (N, 2K). Returns a scalar.

    Example:
        >>> import numpy as np
        >>> loss = cxrkeras.losses.MaskedBCE()
        >>> round(float(loss(np.array([[1.0, -1.0]]), np.array([[0.0, 9.0]]))), 3)  # ln 2
        0.693
    """

    def call(self, targets, logits):
        """The batch's loss, a scalar."""
        classes = _classes(targets, logits)
        entries = sum(share * cost for share, cost in classes)
        known = sum(ops.sum(share) for share, _ in classes)
        images = ops.cast(ops.shape(entries)[0], entries.dtype)
        each = ops.sum(entries, axis=-1) * images / ops.maximum(known, 1.0)
        return ops.sum(each) / images


@keras.saving.register_keras_serializable("cxrkeras")
class BatchWeightedBCE(keras.layers.Layer):
    """bW-BCE: positive and negative entries of a batch get equal total weight.

    L = sum over entries of b_P y softplus(-f) + b_N (1 - y) softplus(f), with b_P = (|P|+|N|)/|P|,
    b_N = (|P|+|N|)/|N| and |P|, |N| the positives and negatives among the batch's known entries,
    over all labels (Wang et al. 2017, W-CEL; for soft targets the sums of y and of 1 - y). Where
    one class is missing its term drops out and the other's weight is 1. In `cxrkeras`'s own fits
    they are counted over the whole batch, however many devices share it; in a `fit` of yours under
    TensorFlow's `MirroredStrategy`, over each device's part.

    With an uncertain class, n = |P|+|N|+|U| entries are known and each class that occurs weighs n
    in total: its entries' weights are n/|P|, n/|N| and n/|U|. Without such an entry that is the
    formula above.

    Args:
        per_label: take |P| and |N| for each label by itself instead of over all labels.

    Call arguments: targets (N, K) and logits (N, K) or (N, 2K). Returns a scalar.

    Example:
        >>> import numpy as np
        >>> truth = np.array([[1.0], [0.0], [0.0], [0.0]])  # b_P = 4, b_N = 4/3
        >>> loss = cxrkeras.losses.BatchWeightedBCE()
        >>> round(float(loss(truth, np.zeros((4, 1)))), 3)  # 8 ln 2
        5.545
    """

    def __init__(self, per_label=False, **kwargs):
        super().__init__(**kwargs)
        self.per_label = per_label

    def call(self, targets, logits):
        """The batch's loss, a scalar."""
        classes = _classes(targets, logits)
        axis = 0 if self.per_label else None
        total = sum(ops.sum(share, axis=axis, keepdims=True) for share, _ in classes)
        # Each weight is an entry's share of its class, at most 1: nothing overflows if |P| is tiny.
        weighed = sum(_share(share, axis) * cost for share, cost in classes)
        return ops.sum(ops.sum(total * weighed, axis=-1))

    def get_config(self):
        """The arguments, for saving."""
        return {**super().get_config(), "per_label": self.per_label}


def _share(weights, axis):
    """Each entry's share of the sum over `axis`; zeros where the sum is 0."""
    total = ops.sum(weights, axis=axis, keepdims=True)
    return weights / ops.where(total > 0, total, 1.0)
