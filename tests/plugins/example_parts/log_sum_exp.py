"""Scores at every place of two maps, pooled by log-sum-exp: between their mean and their maximum.

Source: Wang et al., ChestX-ray8, CVPR 2017 (transition layer; pooling, equation 2).
"""

from typing import ClassVar

import keras
from keras import layers, ops

from cxrkeras.models.heads import Head
from cxrkeras.registry import option


class Part(Head):
    """A 1x1 transition on the last map and on that of stride 16; then pooling, then scores."""

    strides: ClassVar[tuple[str, ...]] = ("s16",)

    sharpness: float = option(5.0, "From 0, the mean, towards the maximum.", gt=0, le=100)
    width: int = option(32, "Channels of the transition layers.", ge=1)

    def features(self, maps, known, *, seed):
        """(N, trunks * 2 * width), then what else is known."""
        pooled = []
        for number, of_trunk in enumerate(maps, start=1):
            for place, values in of_trunk.items():
                name = f"{number}_{place}"
                start = keras.initializers.GlorotUniform(seed + len(pooled))
                moved = layers.Conv2D(
                    self.width, 1, kernel_initializer=start, name=f"transition_{name}"
                )(values)
                pooled.append(LogSumExp(self.sharpness, name=f"pool_{name}")(moved))
        joined = pooled if known is None else [*pooled, known]
        return joined[0] if len(joined) == 1 else layers.Concatenate(name="features")(joined)

    def classify(self, features, outputs, *, dropout, seed):
        """A dense layer for each output, from zero."""
        kept = layers.Dropout(dropout, seed=seed, name=f"dropout_{next(iter(outputs))}")(features)
        return {
            name: layers.Dense(labels, kernel_initializer="zeros", name=name)(kept)
            for name, labels in outputs.items()
        }


@keras.saving.register_keras_serializable("example_parts")
class LogSumExp(layers.Layer):
    """ln(mean of exp(r x)) / r over the places of a map, (N, h, w, C) -> (N, C).

    Args:
        sharpness: r > 0.
    """

    def __init__(self, sharpness=5.0, **kwargs):
        super().__init__(**kwargs)
        self.sharpness = sharpness

    def call(self, maps):
        """The largest value is taken out first, so that nothing overflows."""
        top = ops.max(maps, axis=(1, 2), keepdims=True)
        mean = ops.mean(ops.exp(self.sharpness * (maps - top)), axis=(1, 2))
        return ops.squeeze(top, (1, 2)) + ops.log(mean) / self.sharpness

    def compute_output_shape(self, shape):
        """(N, C)."""
        return shape[0], shape[3]

    def get_config(self):
        """The arguments, for saving."""
        return {**super().get_config(), "sharpness": self.sharpness}
