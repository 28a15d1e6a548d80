"""Losses that rank an image's labels against each other; part of no saved model."""

import keras
from keras import ops

from cxrkeras.models.losses.shared.entries import NEVER, binary_logits, known_targets


class _OverImages(keras.layers.Layer):
    """The mean over the images that have a known entry; an uncertain entry is masked.

    Call arguments: targets (N, K) and logits (N, K) or (N, 2K). Returns a scalar.
    """

    def call(self, targets, logits):
        """The batch's loss, a scalar."""
        y, known = known_targets(targets)
        f = binary_logits(targets, logits)
        each = self.of_images(known * y, known * (1 - y), f)
        taught = ops.cast(ops.any(known > 0, axis=-1), f.dtype)
        return ops.sum(taught * each) / ops.maximum(ops.sum(taught), 1.0)


class LogSumExpPairwise(_OverImages):
    """See `losses.lsep`."""

    def of_images(self, positive, negative, f):
        """(N,), of weights (N, K) with which an entry is positive, and negative."""
        return _log_sum(negative, f) + _log_sum(positive, -f)


class PairwiseExponential(_OverImages):
    """See `losses.bp_mll`."""

    def of_images(self, positive, negative, f):
        """(N,), of weights (N, K) with which an entry is positive, and negative."""
        score = ops.tanh(f / 2)
        above = 1 + ops.sum(positive * ops.exp(-score), axis=-1)  # 1: the label of score 0
        below = 1 + ops.sum(negative * ops.exp(score), axis=-1)
        pairs = (1 + ops.sum(positive, axis=-1)) * (1 + ops.sum(negative, axis=-1)) - 1
        return (above * below - 1) / ops.maximum(pairs, 1e-6)


def _log_sum(weights, f):
    """(N,): ln(1 + sum of w e^f), without overflow."""
    weighed = f + ops.log(ops.where(weights > 0, weights, 1.0))
    weighed = ops.where(weights > 0, weighed, NEVER)
    top = ops.stop_gradient(ops.maximum(ops.max(weighed, axis=-1, keepdims=True), 0.0))
    total = ops.exp(-top) + ops.sum(ops.exp(weighed - top), axis=-1, keepdims=True)
    return ops.squeeze(top + ops.log(total), axis=-1)
