"""A loss with its gradient, on whichever backend runs."""

import keras
import numpy as np


def value_and_gradient(loss, targets, logits):
    """The loss and its gradient by the logits, as NumPy."""
    targets, logits = np.float32(targets), np.float32(logits)
    if keras.backend.backend() == "jax":
        import jax

        value, gradient = jax.value_and_grad(lambda f: loss(targets, f))(logits)
    else:
        import tensorflow as tf

        variable = tf.Variable(logits)
        with tf.GradientTape() as tape:
            value = loss(targets, variable)
        gradient = tape.gradient(value, variable)
    return float(value), np.asarray(gradient)
