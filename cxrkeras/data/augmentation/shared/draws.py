"""The random numbers given to operations."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from cxrkeras.data.augmentation.shared.compiled import compiled


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

    def normal(self, mean: Any, sigma: Any) -> Any:
        """Normal float32, shaped like `mean`; the strength doesn't matter.

        No value is further from its mean than 5.5 sigma; of 10 million, 0.4 would be.

        Args:
            mean: of each value.
            sigma: likewise, or what is broadcast to it.
        """
        # Without -1, where the normal has no value.
        low = float(np.nextafter(np.float32(-1), np.float32(0)))
        shape = ops.shape(mean)
        drawn = keras.random.uniform(shape, low, 1.0, dtype="float32", seed=self._seed)
        return _normal(drawn, mean, sigma)

    @staticmethod
    def per_image(values: Any) -> Any:
        """(N,) numbers as (N, 1, 1, 1)."""
        return ops.reshape(values, (-1, 1, 1, 1))


@compiled
def _normal(drawn: Any, mean: Any, sigma: Any) -> Any:
    """By the inverse of the distribution, from uniform numbers between -1 and 1."""
    return mean + sigma * math.sqrt(2) * ops.erfinv(drawn)
