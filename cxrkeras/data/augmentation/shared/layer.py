"""The layer that augments images during training."""

from typing import Any

import keras
from keras import ops

from cxrkeras.data.augmentation import Preset
from cxrkeras.data.augmentation.operations import FULL_RANGE
from cxrkeras.data.augmentation.shared.draws import Draws
from cxrkeras.registry import PRESETS


@keras.saving.register_keras_serializable("cxrkeras")
class Augment(keras.layers.Layer):
    """Apply a preset's operations in turn, then clip to 0-255; only if `training=True`.

    Everything is computed in float32.

    The weight `strength` scales every range and probability: 1.0 at first; after
    `layer.strength.assign(0.0)` images pass unchanged to the last bit, with no retracing.

    Args:
        preset: the operations; a saved model holds it as text, e.g. `study:hflip=0`.
        seed: seed of the layer's own random state.

    Call arguments: images (N, H, W, 1), 0-255. Returns float32 of the same shape.
    """

    def __init__(self, preset: Preset | str, *, seed: int | None = None, **kwargs):
        kwargs.setdefault("dtype", "float32")  # half precision would move pixels by whole steps
        super().__init__(**kwargs)
        self.preset = PRESETS.make(preset) if isinstance(preset, str) else preset
        self.seed = seed
        self.random = keras.random.SeedGenerator(seed)
        self.strength = self.add_weight(
            shape=(), initializer="ones", trainable=False, name="strength", dtype="float32"
        )
        # XLA would draw the random numbers too, on a CPU many times as slowly as TensorFlow. What
        # gains by it is compiled in any case.
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def call(self, images, training=False):
        """Augment a batch; returns it unchanged unless `training`."""
        images = ops.cast(images, "float32")
        active = self.preset.active()
        if not training or not active:
            return images
        draws = Draws(images, self.random, self.strength)
        for operation in active:
            images = operation.apply(images, draws)
        return ops.clip(images, 0.0, FULL_RANGE)

    def compute_output_shape(self, input_shape):
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return {**super().get_config(), "preset": str(self.preset), "seed": self.seed}
