"""The numbers in which layers compute: half of a float32's bits for most, float32 where it matters.

Weights are float32 in any case.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

FLOAT32 = "float32"


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Layers that are built meanwhile compute in float32, bfloat16 or float16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision if precision == FLOAT32 else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
