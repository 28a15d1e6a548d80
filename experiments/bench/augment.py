"""Speed of `Augment` (one resample) against a chain of Keras layers with the same operations.

Run: python experiments/bench/augment.py [SIDE]. Prints milliseconds per batch of 16 and the ratio.
"""

import sys
import time

import keras
import numpy as np
import tensorflow as tf

from cxrkeras.data.augmentation.shared.layer import Augment

REPEATS = 7


def chain() -> list[keras.layers.Layer]:
    """The study's operations as Keras has them: one resample each."""
    return [
        keras.layers.RandomFlip("horizontal_and_vertical"),
        keras.layers.RandomZoom((-0.1, 0.1), fill_mode="constant"),
        keras.layers.RandomShear(0.1, 0.0, fill_mode="constant"),
        keras.layers.RandomRotation(10 / 360, fill_mode="constant"),
        keras.layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
        keras.layers.RandomBrightness(0.1, value_range=(0, 255)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.GaussianNoise(0.03),  # refuses a sigma over 1
        keras.layers.Rescaling(255),
    ]


def milliseconds(layers: list[keras.layers.Layer], images: np.ndarray) -> tuple[float, float]:
    """Median and range of the time that a batch takes in a compiled graph."""

    @tf.function
    def run(batch):
        for layer in layers:
            batch = layer(batch, training=True)
        return batch

    run(images)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run(images).numpy()
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times)), float(np.ptp(times))


def main(side: int = 512) -> None:
    """Measure and print."""
    shape = (16, side, side, 1)
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, shape).astype("float32"))
    # The chain's noise has one sigma for all; leaving noise out on both sides compares geometry.
    for name, ours, theirs in [
        ("study", [Augment("study")], chain()),
        ("study without noise", [Augment("study:noise=0")], chain()[:-3]),
    ]:
        one, one_range = milliseconds(ours, images)
        many, many_range = milliseconds(theirs, images)
        print(
            f"{name}, 16 x {side} x {side}: Augment {one:.0f} ms (range {one_range:.0f}), "
            f"Keras chain {many:.0f} ms (range {many_range:.0f}), ratio {many / one:.2f}"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
