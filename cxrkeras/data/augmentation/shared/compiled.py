"""Steps over whole images that XLA compiles, so that they pass through memory once."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let XLA compile a function, in eager code and within any graph.

    JAX does so anyway, with all that is around it. TensorFlow compiles it once in a process for
    each shape, whichever layer calls it.

    Args:
        function: of tensors, and of Python values that choose what is computed; it uses
            `keras.ops`, and draws no random numbers (on a CPU XLA's generators are slow).
    """

    @cache
    def by_tensorflow() -> Callable[..., Any]:
        import tensorflow as tf

        return tf.function(function, autograph=False, jit_compile=True)

    @wraps(function)
    def call(*values: Any, **choices: Any) -> Any:
        import keras

        tensorflow = keras.backend.backend() == "tensorflow"
        return (by_tensorflow() if tensorflow else function)(*values, **choices)

    return call
