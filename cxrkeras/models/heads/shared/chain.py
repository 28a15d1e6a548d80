"""A chain of labels: which chains stand for all, and what they say of each label by itself."""

import numpy as np


def every_prefix(labels: int) -> np.ndarray:
    """(2^(K-1), K) float32 of -1 and 1: all values of the labels before the last, which is -1."""
    numbers = np.arange(2 ** (labels - 1))[:, None] >> np.arange(labels)
    return np.float32(2 * (numbers & 1) - 1)


def thresholds(samples: int, labels: int, seed: int) -> np.ndarray:
    """(S, K) float32: a label of a chain is positive where its logit is above its threshold.

    They are the log odds of a Latin hypercube's numbers (McKay et al. 1979): each label's are the
    middles of S equal parts of [0, 1], in an order of its own.
    """
    rng = np.random.default_rng(seed)
    middles = (np.arange(samples) + 0.5) / samples
    drawn = np.stack([rng.permutation(middles) for _ in range(labels)], axis=1)
    return np.float32(np.log(drawn) - np.log1p(-drawn))


def marginal_logit(scores, weights):
    """The logit of the mean probability.

    Args:
        scores: (N, R) float32 logits of R chains.
        weights: (N, R) logs of their weights, which need no sum of 1.

    Returns:
        (N, 1). Counted from the largest and the smallest, so that of equal logits it is exactly
        that logit, and nothing overflows.
    """
    from keras import ops

    def above(values, base):
        """How much larger the log of their sigmoid is; 0 where equal, whatever the rounding."""
        difference = ops.subtract(ops.log_sigmoid(values), ops.log_sigmoid(base))
        return ops.where(ops.equal(values, base), 0.0, difference)

    def mean(values):
        return ops.logsumexp(ops.add(weights, values), axis=1, keepdims=True)

    against, top = ops.negative(scores), ops.max(scores, axis=1, keepdims=True)
    most = ops.max(against, axis=1, keepdims=True)
    of_one = ops.add(top, above(ops.negative(top), most))
    return ops.add(of_one, ops.subtract(mean(above(scores, top)), mean(above(against, most))))
