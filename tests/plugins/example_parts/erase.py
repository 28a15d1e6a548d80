"""A rectangle of some images becomes grey; their targets stay.

Source: Zhong et al., Random Erasing Data Augmentation, AAAI 2020 (algorithm 1).
"""

from cxrkeras.data.inputs import IMAGE
from cxrkeras.data.transforms import Transform
from cxrkeras.registry import option


class Part(Transform):
    """Its sides are drawn by themselves, so that it may be narrow."""

    images = True

    chance: float = option(0.5, "Probability for an image.", gt=0, le=1)
    side: float = option(0.4, "Longest side, as a share of the image's.", gt=0, le=1)

    def apply(self, inputs, targets, seed):
        """See `Transform`."""
        if isinstance(inputs, dict):
            return {**inputs, IMAGE: self._erased(inputs[IMAGE], seed)}, targets
        return self._erased(inputs, seed), targets

    def _erased(self, images, seed):
        import tensorflow as tf

        drawn = tf.random.stateless_uniform([5, tf.shape(images)[0]], seed)
        rows = self._between(drawn[0], drawn[1], tf.shape(images)[1])[:, :, None, None]
        columns = self._between(drawn[2], drawn[3], tf.shape(images)[2])[:, None, :, None]
        chosen = (drawn[4] < self.chance)[:, None, None, None]
        return tf.where(rows & columns & chosen, 127.5, images)

    def _between(self, share, place, side):
        """(B, side) bool: the pixels of one axis that lie within each rectangle."""
        import tensorflow as tf

        pixels = (tf.range(side, dtype=tf.float32) + 0.5) / tf.cast(side, tf.float32)
        length = (self.side * share)[:, None]
        start = place[:, None] * (1 - length)
        return (pixels >= start) & (pixels < start + length)
