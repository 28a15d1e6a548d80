"""Adam in one kernel against Keras's own, and where Keras's own goes on."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cxrkeras.registry import OPTIMIZERS
from cxrkeras.training.optimizers.shared.kernel import in_one_kernel
from tests.cxrkeras.training.kernels import counted

rng = np.random.default_rng(0)
SHAPES = (3, 3, 4), (7,), ()
STARTS = [rng.normal(size=shape).astype(np.float32) for shape in SHAPES]
GRADIENTS = [  # of all magnitudes, in random order
    [(10.0 ** rng.uniform(-9, 4) * rng.normal(size=shape)).astype(np.float32) for shape in SHAPES]
    for _ in range(30)
]


@pytest.fixture
def kernels(monkeypatch):
    """The calls of TensorFlow's kernel."""
    return counted(monkeypatch, "ResourceApplyAdam")


def learnt(optimizer, *, dtype="float32", compiled=None) -> list[np.ndarray]:
    """The weights and the optimiser's variables after all gradients."""
    weights = [keras.Variable(start, dtype=dtype) for start in STARTS]
    optimizer.build(weights)
    optimizer.learning_rate.assign(0.01)

    def step(gradients):
        optimizer.apply(gradients, weights)

    if compiled is not None:
        step = tf.function(step, jit_compile=compiled)
    for gradients in GRADIENTS:
        step([tf.constant(gradient, dtype) for gradient in gradients])
    return [variable.numpy() for variable in [*weights, *optimizer.variables]]


@pytest.mark.parametrize("compiled", [None, False, True])
@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("adam", keras.optimizers.Adam),
        ("adam:beta_1=0.5,beta_2=0.9,epsilon=0.01", keras.optimizers.Adam),
        ("adamw:weight_decay=0.3", keras.optimizers.AdamW),
    ],
)
def test_one_kernel_takes_keras_s_steps(text, own, compiled, kernels):
    ours = OPTIMIZERS.make(text).build()
    expected = learnt(own.from_config(ours.get_config()))
    assert kernels == []
    found = learnt(ours, compiled=compiled)
    assert len(kernels) == len(SHAPES) * (len(GRADIENTS) if compiled is None else 1)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=2e-5, atol=1e-6)
    assert ours._power_1 is ours._power_2 is None


@pytest.mark.parametrize(("options", "dtype"), [({"amsgrad": True}, "float32"), ({}, "float64")])
def test_what_the_kernel_cant_do_is_keras_s_own(options, dtype, kernels):
    own, ours = (
        kind(**options) for kind in (keras.optimizers.Adam, in_one_kernel(keras.optimizers.Adam))
    )
    found = learnt(ours, dtype=dtype)
    assert all(map(np.array_equal, learnt(own, dtype=dtype), found))
    assert kernels == []


def test_sparse_gradients_have_keras_s_own(kernels):
    ends = []
    for kind in (keras.optimizers.Adam, in_one_kernel(keras.optimizers.Adam)):
        rows, optimizer = keras.Variable(STARTS[0][0]), kind(0.01)
        gradient = tf.IndexedSlices(tf.ones((3, 4)), tf.constant([0, 2, 2]), tf.constant([3, 4]))
        for _ in range(3):
            optimizer.apply([gradient], [rows])
        ends.append(rows.numpy())
    assert np.array_equal(*ends)
    assert kernels == []


def test_several_devices_have_keras_s_own(kernels):
    names = [device.name for device in tf.config.list_logical_devices("CPU")]
    strategy = tf.distribute.MirroredStrategy(names)
    with strategy.scope():
        weight = keras.Variable(STARTS[0])
        optimizer = OPTIMIZERS.make("adam").build()
        optimizer.build([weight])
        gradient = tf.constant(GRADIENTS[0][0])
        strategy.run(lambda: optimizer.apply([gradient], [weight]))
    assert kernels == []
    assert not np.array_equal(weight.numpy(), STARTS[0])
