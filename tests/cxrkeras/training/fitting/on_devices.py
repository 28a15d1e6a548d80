"""Fits in a process of their own, on so many virtual devices: what is learnt goes into files.

    python -m tests.cxrkeras.training.fitting.on_devices OUT DEVICES

writes OUT/sgd.npz and OUT/adam.npz. The batches are of 8 rows, the last of 1, and the last of the
validation of 5.
"""

import os
import sys
from pathlib import Path

DEVICES = int(sys.argv[2])
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={DEVICES}"

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

_CPU = tf.config.list_physical_devices("CPU")[0]
_LOGICAL = [tf.config.LogicalDeviceConfiguration()] * DEVICES
tf.config.set_logical_device_configuration(_CPU, _LOGICAL)

from cxrkeras import runtime  # noqa: E402

runtime.start(devices=DEVICES)

import keras  # noqa: E402

from cxrkeras.models.losses.bw_bce import Part as BatchWeighted  # noqa: E402
from cxrkeras.training.fitting.compute import Compute  # noqa: E402
from cxrkeras.training.fitting.devices import shared_by  # noqa: E402
from cxrkeras.training.fitting.trainer import Schedule, Trainer  # noqa: E402

ROWS, VALIDATED, SIDE, EPOCHS = 41, 13, 12, 4


class BySGD(BatchWeighted):
    """bW-BCE that brings SGD."""

    def optimizer(self):
        """See `Loss.optimizer`."""
        return keras.optimizers.SGD(0.0, momentum=0.9)


def graph() -> keras.Model:
    """Images -> logits, with batch norm behind a biased and an unbiased convolution."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Rescaling(1 / 128, -1.0)(x)
    for width, biased in ((6, False), (8, True)):
        x = keras.layers.Conv2D(width, 3, use_bias=biased)(x)
        x = keras.layers.BatchNormalization(momentum=0.8)(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, {"target": keras.layers.Dense(2, name="target")(x)})


def data(rows: int, seed: int) -> tf.data.Dataset:
    """Batches of images with findings that can be learnt; some entries are masked."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 255, (rows, SIDE, SIDE, 1)).astype(np.float32)
    targets = (rng.random((rows, 2)) < 0.4).astype(np.float32)
    images[:, :4, :4, 0] += 80 * targets[:, :1, None]
    targets[rng.random((rows, 2)) < 0.2] = -1
    return tf.data.Dataset.from_tensor_slices((images, {"target": targets})).batch(8)


def main() -> None:
    """Fit by SGD and by Adam."""
    compute = Compute(devices=shared_by(DEVICES))
    for name, loss, rate in (("sgd", BySGD(), 3e-3), ("adam", BatchWeighted(), 1e-4)):
        with compute.scope():
            logits = graph()
        trainer = Trainer(logits, loss=loss, compute=compute)
        train = data(ROWS, 0)
        table = trainer.fit(
            lambda epochs, train=train: train.repeat(len(epochs)),
            data(VALIDATED, 1),
            Schedule(EPOCHS, rate, 0, 0.1, 0),
            steps=6,
            seed=1,
            title=name,
        )
        trainer.settle(train.take(5))
        predicted = trainer.predict(data(VALIDATED, 1).map(lambda image, _: image), [])["target"]
        values = {variable.path: variable.numpy() for variable in logits.variables}
        found = {"losses": table[["loss", "val_loss"]], "shares": table["binary_accuracy"]}
        np.savez(Path(sys.argv[1], name), predicted=predicted, **found, **values)


if __name__ == "__main__":
    main()
