"""Gradients of a score: the one thing that each Keras backend does its own way."""

import keras
import numpy as np

from data_prep.errors import UserError


def score_gradient(head: keras.Model, maps: list[np.ndarray], label: int) -> list[np.ndarray]:
    """The derivative of one label's score by every value of the maps that the head sees.

    Args:
        head: [feature maps] -> [scores (N, K), …]; dropout and the like stay off.
        maps: one (N, h, w, C) float array per input of the head.
        label: the column of the scores.

    Returns:
        One float32 array for each of `maps`, of its shape.

    Raises:
        UserError: for a backend that has no gradient here.
    """
    backend = keras.backend.backend()
    if backend not in _BACKENDS:
        raise UserError(
            f"Grad-CAM needs Keras on TensorFlow or JAX. Received: {backend}. "
            "Set KERAS_BACKEND, or take --map cam."
        )
    return [np.asarray(part) for part in _BACKENDS[backend](head, maps, label)]


def _tensorflow(head: keras.Model, maps: list[np.ndarray], label: int) -> list:
    import tensorflow as tf

    inputs = [tf.convert_to_tensor(part) for part in maps]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        score = tf.reduce_sum(head(inputs, training=False)[0][:, label])
    return tape.gradient(score, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _jax(head: keras.Model, maps: list[np.ndarray], label: int) -> list:
    import jax

    learnt = [variable.value for variable in head.trainable_variables]
    fixed = [variable.value for variable in head.non_trainable_variables]

    def score(inputs):
        (scores, *_), _ = head.stateless_call(learnt, fixed, inputs, training=False)
        return scores[:, label].sum()

    return jax.grad(score)([jax.numpy.asarray(part) for part in maps])


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax}
