"""The layer: strength, seeds, the order of draws; on TensorFlow and on JAX."""

import keras
import numpy as np
import pytest
from scipy.special import ndtri

from cxrkeras.data.augmentation.operations.affine import affine_maps
from cxrkeras.data.augmentation.shared.layer import Augment
from cxrkeras.registry import PRESETS
from tests.cxrkeras.data.augmentation.drawn import augmented, pictures

OFF = {
    "rotation": 0,
    "shift": 0,
    "shear": 0,
    "zoom": 1,
    "hflip": 0,
    "vflip": 0,
    "brightness": 1,
    "noise": 0,
}


def only(**ranges):
    """A preset with nothing but these."""
    return PRESETS.load("study")(**(OFF | ranges))


def test_strength_scales_how_far_pixels_move():
    layer = Augment(only(shift=0.4), seed=3)
    images = np.zeros((200, 1, 41, 1), np.float32)
    images[:, :, 20] = 255
    spread = {}
    for strength in (1.0, 0.25):
        layer.strength.assign(strength)
        columns = augmented(Augment(only(shift=0.4 * strength), seed=3), images)
        spread[strength] = np.abs(columns[:, 0, :, 0].argmax(axis=1) - 20).max()
        layer.random.state.assign(Augment("none", seed=3).random.state)
        np.testing.assert_allclose(augmented(layer, images), columns, atol=0.05)
    assert spread[1.0] > 12
    assert spread[0.25] <= 5


def test_strength_is_switched_inside_a_compiled_model():
    inputs = keras.Input((8, 8, 1))
    same = keras.layers.Conv2D(1, 1, kernel_initializer="ones", use_bias=False)
    outputs = keras.layers.Flatten()(same(Augment("study", seed=0)(inputs)))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.0), loss="mae")
    images = pictures(4, 8, 8)
    targets = images.reshape(4, -1)
    assert model.train_on_batch(images, targets) > 1
    model.layers[1].strength.assign(0.0)
    assert model.train_on_batch(images, targets) == 0
    model.layers[1].strength.assign(1.0)
    assert model.train_on_batch(images, targets) > 1


def test_the_seed_decides_and_the_state_can_be_put_back():
    images = pictures()
    layer = Augment("study", seed=5)
    start = np.array(keras.ops.convert_to_numpy(layer.random.state))
    first, second = augmented(layer, images), augmented(layer, images)
    assert (first != second).any()
    np.testing.assert_array_equal(augmented(Augment("study", seed=5), images), first)
    assert (augmented(Augment("study", seed=6), images) != first).any()
    layer.random.state.assign(start)
    np.testing.assert_array_equal(augmented(layer, images), first)


def test_each_image_of_a_batch_is_drawn_by_itself():
    images = np.repeat(pictures(1, 8, 8), 64, axis=0)
    changed = augmented(Augment(only(hflip=0.5, vflip=0.25), seed=0), images)
    unflipped = {
        name: np.array([np.allclose(got, flipped, atol=1e-2) for got in changed])
        for name, flipped in {
            "neither": images[0],
            "left-right": images[0, :, ::-1],
            "top-bottom": images[0, ::-1],
            "both": images[0, ::-1, ::-1],
        }.items()
    }
    assert sum(unflipped.values()).tolist() == [1] * 64
    horizontal = (unflipped["left-right"] | unflipped["both"]).mean()
    vertical = (unflipped["top-bottom"] | unflipped["both"]).mean()
    assert 0.3 < horizontal < 0.7
    assert 0.08 < vertical < 0.45


def test_brightness_and_noise_have_their_sizes():
    flat = np.full((200, 16, 16, 1), 100, np.float32)
    factors = augmented(Augment(only(brightness=(0.9, 1.1)), seed=0), flat)[:, 0, 0, 0] / 100
    assert 0.9 <= factors.min() < 0.91
    assert 1.09 < factors.max() <= 1.1
    noisy = augmented(Augment(only(noise=(0.01, 0.05)), seed=0), flat)
    sigma = noisy.std(axis=(1, 2, 3)) / 255
    assert 0.008 < sigma.min() < 0.015
    assert 0.045 < sigma.max() < 0.06
    assert abs(noisy.mean() - 100) < 0.5


def test_the_range_is_kept():
    images = np.concatenate([np.zeros((4, 8, 8, 1)), np.full((4, 8, 8, 1), 255)])
    changed = augmented(Augment("study", seed=0), images.astype(np.uint8))
    assert changed.dtype == np.float32
    assert changed.shape == images.shape
    assert changed.min() == 0
    assert changed.max() == 255


def test_save_and_load(tmp_path):
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, Augment("light:rotation=20", seed=4, name="augment")(inputs))
    model.get_layer("augment").strength.assign(0.5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").get_layer("augment")
    assert loaded.preset == PRESETS.make("light:rotation=20")
    assert float(loaded.strength) == 0.5
    assert loaded.get_config() == model.get_layer("augment").get_config()
    images = pictures(2, 8, 8)
    np.testing.assert_array_equal(
        augmented(loaded, images), augmented(model.get_layer("augment"), images)
    )


def test_the_draws_are_these_in_this_order():
    """Whoever draws in another order changes every run, and every cached view."""
    images = keras.ops.convert_to_tensor(pictures(5, 12, 17))
    stream, strength = keras.random.SeedGenerator(9), 0.5

    def uniform(low, high, neutral=0.0):
        drawn = keras.random.uniform((5,), low, high, dtype="float32", seed=stream)
        return neutral + strength * (drawn - neutral)

    def flip(probability):
        drawn = keras.random.uniform((5,), dtype="float32", seed=stream)
        return keras.ops.where(drawn < probability * strength, -1.0, 1.0)

    maps = affine_maps(
        12,
        17,
        rotation=uniform(-np.radians(10.0), np.radians(10.0)),
        shift_x=uniform(-1.7, 1.7),
        shift_y=uniform(-1.2, 1.2),
        shear=uniform(-0.1, 0.1),
        zoom=uniform(0.9, 1.1, neutral=1.0),
        flip_x=flip(0.5),
        flip_y=flip(0.5),
    )
    expected = keras.ops.image.affine_transform(images, np.pad(maps, ((0, 0), (0, 2))))
    expected *= keras.ops.reshape(uniform(0.9, 1.1, neutral=1.0), (5, 1, 1, 1))
    sigma = 255 * keras.ops.reshape(uniform(0.01, 0.05), (5, 1, 1, 1))
    share = (1 + np.asarray(keras.random.uniform((5, 12, 17, 1), -1, 1, seed=stream), float)) / 2
    expected = np.asarray(expected) + np.asarray(sigma) * ndtri(share)
    layer = Augment("study", seed=9)
    layer.strength.assign(strength)
    found = augmented(layer, images)
    np.testing.assert_allclose(found, np.clip(expected, 0, 255), rtol=0, atol=1e-3)
    assert int(layer.random.state[1]) == int(stream.state[1])


def test_tensorflow_draws_random_numbers_outside_of_xla():
    assert Augment("study").supports_jit == (keras.backend.backend() != "tensorflow")


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is that subprocess")
def test_the_same_on_jax(on_jax):
    on_jax(__file__)
