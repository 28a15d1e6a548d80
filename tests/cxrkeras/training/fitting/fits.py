"""A small head, its batches, and a fit that is killed and goes on."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cxrkeras.training.fitting.progress import EpochLines

rng = np.random.default_rng(1)
FEATURES = rng.normal(size=(20, 4)).astype(np.float32)
TARGETS = (rng.random((20, 2)) < 0.4).astype(np.float32)


def head_and_batches():
    """(N, 4) -> {target: (N, 2)}, and what `Trainer.fit` takes: three batches in every epoch."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    head = keras.Model(inputs, {"target": keras.layers.Dense(2, name="target")(inputs)})
    batches = tf.data.Dataset.from_tensor_slices((FEATURES, {"target": TARGETS})).batch(8)
    return head, lambda epochs: batches.repeat(len(epochs))


def killed_fit(fit, checkpoint, monkeypatch, epoch=2):
    """What `fit(checkpoint=...)` gives after it was killed before an epoch, counted from 0."""
    begin = EpochLines.on_epoch_begin

    def kill(lines, number, logs=None):
        if number == epoch:
            raise KeyboardInterrupt
        begin(lines, number, logs)

    with monkeypatch.context() as patch:
        patch.setattr(EpochLines, "on_epoch_begin", kill)
        with pytest.raises(KeyboardInterrupt):
            fit(checkpoint=checkpoint)
    return fit(checkpoint=checkpoint)
