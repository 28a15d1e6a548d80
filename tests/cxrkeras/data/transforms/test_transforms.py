"""What every batch transform promises, other packages' included, by itself and in the pipeline."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cxrkeras.data.labels.entries import MASKED, UNCERTAIN_CLASS
from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import Features, Part, labelled_batches
from cxrkeras.data.transforms import Transform
from cxrkeras.registry import TRANSFORMS
from tests.cxrkeras.processes import environment_of

ENTRIES = st.sampled_from([MASKED, 0.0, 0.25, 1.0, UNCERTAIN_CLASS])
TARGETS = arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 3)), elements=ENTRIES)
NAMES = TRANSFORMS.names()


def applied(transform, inputs, targets, seed):
    tensors = tf.nest.map_structure(tf.constant, (inputs, {"h": np.float32(targets)}))
    inputs, made = transform.apply(*tensors, tf.constant([seed, 5], tf.int64))
    return tf.nest.map_structure(np.asarray, (inputs, made["h"]))


def images(rows, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (rows, 4, 5, 1)).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
@given(targets=TARGETS, seed=st.integers(0, 2**31))
@settings(max_examples=30)
def test_shapes_ranges_and_masks_are_kept(name, targets, seed):
    transform, before = TRANSFORMS.make(name), images(len(targets))
    assert isinstance(transform, Transform)
    inputs, made = applied(transform, before, targets, seed)
    assert (inputs.shape, inputs.dtype) == (before.shape, np.float32)
    assert (made.shape, made.dtype) == (targets.shape, np.float32)
    assert inputs.min() >= 0
    assert inputs.max() <= 255
    assert (made[targets == MASKED] == MASKED).all()
    assert (((made >= 0) & (made <= 1)) | np.isin(made, (MASKED, UNCERTAIN_CLASS))).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_alone_decides(name):
    transform, before = TRANSFORMS.make(name), images(12)
    targets = np.random.default_rng(0).choice([0.0, 1.0], (12, 3))
    one, again, other = (applied(transform, before, targets, seed) for seed in (3, 3, 4))
    for ours, same, different in zip(one, again, other, strict=True):
        np.testing.assert_array_equal(ours, same)
        assert (ours != different).any()


@pytest.mark.parametrize("name", NAMES)
def test_a_dictionary_is_changed_as_its_image_alone_and_codes_stay_codes(name):
    transform, before = TRANSFORMS.make(name), images(12)
    targets = np.random.default_rng(0).choice([0.0, 1.0], (12, 3))
    view = np.float32([-1, 0, 1, 2] * 3)[:, None]
    alone = applied(transform, before, targets, 1)
    inputs, made = applied(transform, {"image": before, "view": view}, targets, 1)
    np.testing.assert_array_equal(inputs["image"], alone[0])
    np.testing.assert_array_equal(made, alone[1])
    assert inputs.keys() == {"image", "view"}
    assert inputs["view"].shape == (12, 1)
    assert set(inputs["view"].ravel()) <= {-1, 0, 1, 2}


def two_parts(rows=23):
    """Two heads, of which only the other part's rows know nothing."""
    rng = np.random.default_rng(0)
    return [
        Part(head, Features(rng.normal(size=(n, 2))), np.arange(n), Targets(values))
        for head, n, values in (
            ("a", rows, np.float32(rng.integers(0, 2, (rows, 2)))),
            ("b", 9, np.float32(rng.integers(0, 2, (9, 1)))),
        )
    ]


def drawn(epochs, *, seed=0, transform=None, parts=None):
    batches = labelled_batches(
        parts or two_parts(), 4, shuffle=seed, epochs=epochs, transform=transform
    )
    return [tf.nest.flatten(batch) for batch in batches.as_numpy_iterator()]


def same(one, two) -> bool:
    pairs = zip(one, two, strict=True)
    return all(np.array_equal(a, b) for o, t in pairs for a, b in zip(o, t, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_epochs_go_on_with_the_same_bytes_and_each_batch_draws_anew(name):
    transform = TRANSFORMS.make(name)
    whole = drawn(range(4), transform=transform)
    again = [*drawn(range(2), transform=transform), *drawn(range(2, 4), transform=transform)]
    assert same(whole, again)
    assert not same(whole, drawn(range(4)))
    assert not same(whole, drawn(range(4), seed=1, transform=transform))


class _Spy(Transform):
    """Puts the seed in place of the inputs."""

    def apply(self, inputs, targets, seed):
        return inputs * 0 + tf.cast(seed % 2**20, tf.float32), targets


def test_each_part_of_each_batch_of_each_epoch_has_a_seed_of_its_own():
    seeds = [
        tuple(row)
        for seed in (0, 1)
        for inputs, *_ in drawn(range(3), seed=seed, transform=_Spy())
        for row in np.unique(inputs, axis=0)
    ]
    assert len(seeds) == len(set(seeds)) == 2 * 3 * 6 * 2  # runs, epochs, steps, parts


@pytest.mark.parametrize("name", NAMES)
def test_parts_are_changed_each_by_itself(name):
    """Mixed with a row of a part that doesn't know its labels, a row would teach nothing."""
    for _, a, b in drawn(range(2), transform=TRANSFORMS.make(name)):
        assert (a[-4:] == MASKED).all()
        assert (b[:-4] == MASKED).all()
        assert (a[:-4] != MASKED).all()
        assert (b[-4:] != MASKED).all()


def test_what_is_not_shuffled_is_not_transformed():
    with pytest.raises(ValueError, match="needs shuffled batches"):
        labelled_batches(two_parts(), 4, transform=TRANSFORMS.make(NAMES[0]))


def test_transforms_are_known_and_checked_without_tensorflow():
    code = (
        "import sys\n"
        "from cxrkeras.registry import TRANSFORMS\n"
        "for name in TRANSFORMS.names(): TRANSFORMS.make(name)\n"
        "assert not {'keras', 'tensorflow', 'jax'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is that subprocess")
def test_the_same_bytes_on_jax(tmp_path):
    """What a process whose Keras runs on JAX draws is what this one draws."""
    code = (
        "import sys, numpy as np\n"
        "from tests.cxrkeras.data.transforms.test_transforms import drawn, NAMES, TRANSFORMS\n"
        "made = [drawn(range(3), transform=TRANSFORMS.make(n)) for n in NAMES]\n"
        "np.save(sys.argv[1], np.concatenate([a.ravel() for e in made for b in e for a in b]))"
    )
    for backend in ("tensorflow", "jax"):
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"{backend}.npy")],
            env=environment_of(backend),
            check=True,
        )
    one, two = (np.load(tmp_path / f"{name}.npy") for name in ("tensorflow", "jax"))
    assert one.tobytes() == two.tobytes()
