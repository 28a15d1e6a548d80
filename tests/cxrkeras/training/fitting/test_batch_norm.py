"""Batch norm in one kernel against Keras's own layer, and where Keras's own goes on."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cxrkeras.registry import LOSSES, OPTIMIZERS
from cxrkeras.training.fitting import trainer as trainer_module
from cxrkeras.training.fitting.batch_norm import fuse
from cxrkeras.training.fitting.trainer import Schedule, Trainer
from tests.cxrkeras.training.kernels import counted

BatchNorm = keras.layers.BatchNormalization
rng = np.random.default_rng(0)
IMAGES = (rng.normal(size=(6, 5, 4, 3)) * [1, 2, 3] + [0, 5, -40]).astype(np.float32)
WEIGHTS = rng.normal(size=IMAGES.shape).astype(np.float32)  # of the outputs, in a loss


@pytest.fixture
def kernels(monkeypatch):
    """The calls of TensorFlow's kernel."""
    return counted(monkeypatch, "FusedBatchNormV3")


def model_of(layer, shape) -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


def passed(layer, images, **how) -> list[np.ndarray]:
    """The outputs, the gradients of inputs and weights, and the weights and averages afterwards."""
    values = np.random.default_rng(1)
    layer.set_weights([values.uniform(0.5, 2, weight.shape) for weight in layer.get_weights()])
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = layer(images, training=True, **how)
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * WEIGHTS.reshape(images.shape))
    learnt = [weight.value for weight in layer.trainable_weights]
    found = [outputs, *tape.gradient(loss, [images, *learnt]), *layer.get_weights()]
    return [np.asarray(keras.ops.convert_to_numpy(each), np.float32) for each in found]


def both(images=IMAGES, how=None, **options) -> tuple[list, list]:
    """What Keras's own layer gives, and the fused one."""
    own, fused = (BatchNorm(momentum=0.7, **options) for _ in range(2))
    model_of(own, images.shape[1:])
    fuse(model_of(fused, images.shape[1:]))
    return passed(own, images, **(how or {})), passed(fused, images, **(how or {}))


@pytest.mark.parametrize(
    ("options", "rounding"),
    [
        ({}, 1e-5),
        ({"scale": False, "center": False, "axis": 3, "epsilon": 1e-5}, 1e-5),
        ({"dtype": "mixed_bfloat16"}, 2**-7),
        ({"dtype": "mixed_float16"}, 2**-10),
    ],
)
def test_one_kernel_computes_what_keras_does(options, rounding, kernels):
    own, fused = both(**options)
    assert len(kernels) == 1
    for number, (one, other) in enumerate(zip(own, fused, strict=True)):
        statistics = number >= len(own) - 2  # float32 whatever the layer computes in
        within = 1e-5 if statistics else rounding
        np.testing.assert_allclose(other, one, rtol=within, atol=within * np.abs(one).max())


def test_its_moving_variance_is_the_population_s_even_of_one_value():
    one = IMAGES[:1, :1, :1]
    for images in (IMAGES, one):
        layer = BatchNorm(momentum=0.0)
        fuse(model_of(layer, images.shape[1:]))
        layer(images, training=True)
        values = images.astype(float)
        np.testing.assert_allclose(layer.moving_mean, values.mean((0, 1, 2)), rtol=1e-5)
        np.testing.assert_allclose(layer.moving_variance, values.var((0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize(
    ("images", "how", "options"),
    [
        (IMAGES, {}, {"axis": 1}),
        (IMAGES, {}, {"renorm": True}),
        (IMAGES, {}, {"synchronized": True}),
        (IMAGES, {}, {"trainable": False}),
        (IMAGES, {}, {"dtype": "float64"}),
        (IMAGES, {"mask": IMAGES[..., 0] > 0}, {}),
        (IMAGES.reshape(-1, 3), {}, {}),
    ],
)
def test_what_the_kernel_cant_do_is_keras_s_own(images, how, options, kernels):
    own, fused = both(images, how, **options)
    assert all(map(np.array_equal, own, fused))
    assert kernels == []


def graph() -> keras.Model:
    """Image -> {target: logits}, with batch norms behind a convolution, one of them nested."""
    keras.utils.set_random_seed(0)
    inner_input = keras.Input((8, 8, 4))
    inner = keras.Model(inner_input, keras.layers.ReLU()(BatchNorm()(inner_input)))
    image = keras.Input((8, 8, 1))
    x = BatchNorm()(keras.layers.Conv2D(4, 3, padding="same")(image))
    x = keras.layers.GlobalAveragePooling2D()(inner(x))
    return keras.Model(image, {"target": keras.layers.Dense(2, name="target")(x)})


def test_a_fit_agrees_with_keras_s_own_and_saves_its_layers(monkeypatch, kernels, tmp_path):
    images = rng.normal(size=(12, 8, 8, 1)).astype(np.float32)
    targets = (images[:, :2, 0, 0] > 0).astype(np.float32)
    batches = tf.data.Dataset.from_tensor_slices((images, {"target": targets})).batch(4)

    def fitted() -> keras.Model:
        logits = graph()
        trainer = Trainer(logits, loss=LOSSES.make("bce"), optimizer=OPTIMIZERS.make("sgd"))
        schedule = Schedule(2, 0.1, 0, 0.5, 0)
        trainer.fit(
            lambda epochs: batches.repeat(len(epochs)), None, schedule, steps=3, seed=0, title="t"
        )
        return logits

    fused = fitted()
    assert len(kernels) >= 2  # both layers
    kernels.clear()
    logits = fused(images, training=False)["target"]
    fused.save(tmp_path / "fused.keras")
    loaded = keras.models.load_model(tmp_path / "fused.keras")
    assert np.array_equal(loaded(images, training=False)["target"], logits)
    loaded(images, training=True)
    monkeypatch.setattr(trainer_module, "fuse", lambda model: None)
    own = fitted()
    assert kernels == []
    for one, other in zip(own.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)
