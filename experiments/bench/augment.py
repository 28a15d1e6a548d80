"""Augmentation of a training batch.

Against a chain of Keras's layers with the operations of the preset `study`. The chain resamples
once for each, and its noise has one sigma for all images; without noise and brightness the geometry
is compared. Both run as a compiled graph.
"""

from typing import ClassVar

import numpy as np

from cxrkeras.registry import option
from experiments.bench import Measurement, Row
from experiments.bench.shared.stand import per_second


class Part(Measurement):
    """See the module's docstring."""

    small: ClassVar = {"side": 32, "batch": 2}

    side: int = option(512, "Of the images.", ge=8)
    batch: int = option(16, "Images per batch.", ge=1)

    def measure(self, stand):
        """Two rows: everything, and geometry alone."""
        import tensorflow as tf

        from cxrkeras.data.augmentation.shared.layer import Augment

        shape = (self.batch, self.side, self.side, 1)
        images = tf.constant(np.random.default_rng(0).uniform(0, 255, shape).astype("float32"))
        for what, preset, chain, wanted in (
            ("geometry, brightness and noise", "study", _chain(), 3),
            ("geometry alone", "study:noise=0,brightness=0", _chain()[:-4], 4),
        ):
            sides = {"ours": [Augment(preset)], "peer": chain}
            runs = {name: self._rate(layers, images) for name, layers in sides.items()}
            found = stand.in_turn(**runs)
            size = f"{self.batch} images of {self.side} px"
            against = "Keras's layers one by one"
            yield Row(f"{what}, {size}", "images/s", **found, against=against, at_least=wanted)

    def _rate(self, layers, images):
        """Images per second of one batch in a compiled graph, which is traced already."""
        import tensorflow as tf

        @tf.function
        def run(batch):
            for layer in layers:
                batch = layer(batch, training=True)
            return batch

        run(images)
        return per_second(self.batch, lambda: run(images).numpy())


def _chain() -> list:
    """The operations of `study` as Keras has them: one resample each."""
    from keras import layers

    return [
        layers.RandomFlip("horizontal_and_vertical"),
        layers.RandomZoom((-0.1, 0.1), fill_mode="constant"),
        layers.RandomShear(0.1, 0.0, fill_mode="constant"),
        layers.RandomRotation(10 / 360, fill_mode="constant"),
        layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
        layers.RandomBrightness(0.1, value_range=(0, 255)),
        layers.Rescaling(1 / 255),
        layers.GaussianNoise(0.03),  # refuses a sigma over 1
        layers.Rescaling(255),
    ]
