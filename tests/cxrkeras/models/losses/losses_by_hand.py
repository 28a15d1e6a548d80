"""A loss with its gradient, on whichever backend runs."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np


def value_and_gradient(loss, targets, logits, dtype=np.float32):
    """The loss and its gradient by the logits, as NumPy."""
    targets, logits = dtype(targets), dtype(logits)
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


@contextmanager
def in_float64() -> Iterator[None]:
    """Layers made within compute in float64; JAX would need a switch of its own."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
