"""The random numbers given to operations."""

from typing import Any

import keras
from keras import ops


class Draws:
    """Random numbers for one batch: a stream, in the order in which they are asked for.

    Args:
        images: the batch, (N, H, W, 1).
        seed: the stream.
        strength: a scalar from 1 to 0, by which ranges and probabilities shrink.
    """

    def __init__(self, images: Any, seed: keras.random.SeedGenerator, strength: Any):
        self._number = ops.shape(images)[0]
        self._seed, self.strength = seed, strength

    def uniform(self, low: float, high: float, neutral: float = 0.0) -> Any:
        """(N,) float32 uniform in [low, high], drawn towards `neutral` as the strength falls."""
        drawn = keras.random.uniform((self._number,), low, high, dtype="float32", seed=self._seed)
        return neutral + self.strength * (drawn - neutral)

    def chance(self, probability: float) -> Any:
        """(N,) bool, true with the probability times the strength."""
        drawn = keras.random.uniform((self._number,), dtype="float32", seed=self._seed)
        return drawn < probability * self.strength

    def normal(self, like: Any) -> Any:
        """Standard normal float32, shaped like `like`; the strength doesn't matter."""
        return keras.random.normal(ops.shape(like), dtype="float32", seed=self._seed)

    @staticmethod
    def per_image(values: Any) -> Any:
        """(N,) numbers as (N, 1, 1, 1)."""
        return ops.reshape(values, (-1, 1, 1, 1))
