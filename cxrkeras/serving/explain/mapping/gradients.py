"""Gradients of a score, the one thing that each Keras backend does its own way, as weights."""

import keras
import numpy as np

from data_prep.errors import UserError


def score_gradient(
    head: keras.Model, maps: list[np.ndarray], label: int, fixed: int = 0
) -> list[np.ndarray]:
    """The derivative of one label's score by every value of the maps that the head sees.

    Args:
        head: [feature maps] -> [scores (N, K), …]; dropout and the like stay off.
        maps: one (N, h, w, C) float array per input of the head.
        label: the column of the scores.
        fixed: so many of the first inputs are constants.

    Returns:
        One float32 array for each of `maps`, of its shape; zeros for the constants.

    Raises:
        UserError: for a backend that has no gradient here.
    """
    backend = keras.backend.backend()
    if backend not in _BACKENDS:
        raise UserError(
            f"Grad-CAM needs Keras on TensorFlow or JAX. Received: {backend}. "
            "Set KERAS_BACKEND, or take --map cam."
        )
    constant = [*map(keras.ops.convert_to_tensor, maps[:fixed])]
    found = _BACKENDS[backend](head, constant, maps[fixed:], label)
    return [*map(np.zeros_like, maps[:fixed]), *(np.asarray(part) for part in found)]


def _tensorflow(head: keras.Model, fixed: list, maps: list[np.ndarray], label: int) -> list:
    import tensorflow as tf

    inputs = [tf.convert_to_tensor(part) for part in maps]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        score = tf.reduce_sum(head([*fixed, *inputs], training=False)[0][:, label])
    return tape.gradient(score, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _jax(head: keras.Model, fixed: list, maps: list[np.ndarray], label: int) -> list:
    import jax

    learnt = [variable.value for variable in head.trainable_variables]
    others = [variable.value for variable in head.non_trainable_variables]

    def score(inputs):
        (scores, *_), _ = head.stateless_call(learnt, others, [*fixed, *inputs], training=False)
        return scores[:, label].sum()

    return jax.grad(score)([jax.numpy.asarray(part) for part in maps])


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax}


def _gradcam(features: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """(N, C) weights: the gradients summed over the map.

    Grad-CAM's mean over the map would only scale it, by 1/hw, but differently for each trunk where
    grids differ; summed, they add up, and equal CAM's weights where both are defined.
    """
    return gradients.sum(axis=(1, 2), dtype=np.float64)


def _gradcam_plus_plus(features: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """(N, C) weights: sum of a·relu(g), a = g² / (2 g² + g³ ΣA), equation 19 of the paper.

    Its closed form for the score exp(y); the factor exp(y), one number for a whole map, is left
    out: it would overflow.
    """
    g = gradients.astype(np.float64)
    total = features.sum(axis=(1, 2), keepdims=True, dtype=np.float64)
    below = 2 + g * total  # the fraction, reduced by g²
    share = np.divide(1.0, below, out=np.zeros_like(below), where=(g != 0) & (below != 0))
    return (share * np.maximum(g, 0)).sum(axis=(1, 2))


WEIGHTS = {"gradcam": _gradcam, "gradcam++": _gradcam_plus_plus}
