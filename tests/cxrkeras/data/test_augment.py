"""Augmentation: conventions, an independent resampler, seeds; on TensorFlow and on JAX."""

import keras
import numpy as np
import pytest
from scipy import ndimage

from cxrkeras.data.augment import PRESETS, Augment, affine_maps

STILL = {
    "rotation": 0.0,
    "shift_x": 0.0,
    "shift_y": 0.0,
    "shear": 0.0,
    "zoom": 1.0,
    "flip_x": 1.0,
    "flip_y": 1.0,
}


def pictures(n=2, height=16, width=16, seed=0):
    shape = (n, height, width, 1)
    return np.random.default_rng(seed).uniform(0, 255, shape).astype(np.float32)


def moved(images, **change):
    """The images under one map, given as scalars."""
    scalars = STILL | change
    columns = {name: np.full(len(images), value, np.float32) for name, value in scalars.items()}
    maps = affine_maps(*images.shape[1:3], **columns)
    return np.asarray(keras.ops.image.affine_transform(images, maps))


def augmented(layer, images):
    return np.asarray(layer(images, training=True))


@pytest.mark.parametrize("size", [(16, 16), (15, 20)])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"flip_x": -1}, lambda x: x[:, :, ::-1]),
        ({"flip_y": -1}, lambda x: x[:, ::-1]),
        ({"flip_x": -1, "flip_y": -1}, lambda x: np.rot90(x, 2, (1, 2))),
    ],
)
def test_flips_are_exact_and_undo_themselves(size, change, expected):
    images = pictures(2, *size)
    once = moved(images, **change)
    np.testing.assert_allclose(once, expected(images), atol=1e-3)
    np.testing.assert_allclose(moved(once, **change), images, atol=1e-3)


@pytest.mark.parametrize("size", [15, 16])
def test_a_quarter_turn_is_rot90(size):
    images = pictures(2, size, size)
    turned = moved(images, rotation=np.pi / 2)
    # The corners fall 1e-6 pixels outside, where the black border weighs in by as much.
    np.testing.assert_allclose(turned, np.rot90(images, 1, (1, 2)), atol=2e-3)


def test_a_shift_moves_the_picture_right_and_down():
    images = pictures()
    shifted = moved(images, shift_x=3, shift_y=2)
    np.testing.assert_allclose(shifted[:, 2:, 3:], images[:, :-2, :-3], atol=1e-3)
    assert (shifted[:, :2] == 0).all()
    assert (shifted[:, :, :3] == 0).all()


def test_zoom_magnifies_about_the_centre():
    images = np.zeros((1, 33, 33, 1), np.float32)
    images[0, 12:21, 12:21] = 200
    bigger, smaller = (moved(images, zoom=z) for z in (2.0, 0.5))
    assert (bigger[0, 9:24, 9:24] == 200).all()
    assert bigger.sum() / images.sum() == pytest.approx(4, rel=0.05)
    assert (smaller[0, 14:19, 14:19] == 200).all()
    assert smaller.sum() == 25 * 200
    np.testing.assert_allclose(bigger, bigger[:, ::-1, ::-1], atol=1e-3)


def test_shear_moves_lower_rows_to_the_right():
    images = np.zeros((1, 21, 21, 1), np.float32)
    images[0, :, 10] = 255
    columns = moved(images, shear=0.5)[0, :, :, 0].argmax(axis=1)
    np.testing.assert_array_equal(columns[[0, 10, 20]], [5, 10, 15])


@pytest.mark.parametrize("seed", range(5))
def test_any_combination_agrees_with_scipy(seed):
    rng = np.random.default_rng(seed)
    height, width = 24, 31
    change = {
        "rotation": rng.uniform(-1, 1),
        "shift_x": rng.uniform(-5, 5),
        "shift_y": rng.uniform(-5, 5),
        "shear": rng.uniform(-0.3, 0.3),
        "zoom": rng.uniform(0.7, 1.4),
        "flip_x": rng.choice([-1, 1]),
        "flip_y": rng.choice([-1, 1]),
    }
    # Composed forwards from the definitions in (row, column) order, then inverted numerically.
    cos, sin = np.cos(change["rotation"]), np.sin(change["rotation"])
    forward = (
        np.array([[cos, -sin], [sin, cos]])
        @ np.array([[1, 0], [change["shear"], 1]])
        @ np.diag([change["zoom"]] * 2)
        @ np.diag([change["flip_y"], change["flip_x"]])
    )
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    backward = np.linalg.inv(forward)
    offset = centre - backward @ (centre + np.array([change["shift_y"], change["shift_x"]]))
    image = pictures(1, height, width, seed)
    reference = ndimage.affine_transform(
        image[0, :, :, 0].astype(float), backward, offset, order=1, mode="grid-constant"
    )
    np.testing.assert_allclose(moved(image, **change)[0, :, :, 0], reference, atol=0.02)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_nothing_happens_outside_training_or_at_no_strength(preset):
    images = pictures(3)
    layer = Augment(preset, seed=1)
    np.testing.assert_array_equal(np.asarray(layer(images)), images)
    np.testing.assert_array_equal(np.asarray(layer(images, training=False)), images)
    layer.strength.assign(0.0)
    np.testing.assert_array_equal(augmented(layer, images), images)
    layer.strength.assign(1.0)
    assert (augmented(layer, images) == images).all() == (preset == "none")


def test_strength_scales_how_far_pixels_move():
    layer = Augment("none", shift=0.4, seed=3)
    images = np.zeros((200, 1, 41, 1), np.float32)
    images[:, :, 20] = 255
    spread = {}
    for strength in (1.0, 0.25):
        layer.strength.assign(strength)
        columns = augmented(Augment("none", shift=0.4 * strength, seed=3), images)
        spread[strength] = np.abs(columns[:, 0, :, 0].argmax(axis=1) - 20).max()
        layer.random.state.assign(Augment(seed=3).random.state)
        np.testing.assert_allclose(augmented(layer, images), columns, atol=0.05)
    assert spread[1.0] > 12
    assert spread[0.25] <= 5


def test_strength_is_switched_inside_a_compiled_model():
    inputs = keras.Input((8, 8, 1))
    same = keras.layers.Conv2D(1, 1, kernel_initializer="ones", use_bias=False)
    outputs = keras.layers.Flatten()(same(Augment(seed=0)(inputs)))
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
    layer = Augment(seed=5)
    start = np.array(keras.ops.convert_to_numpy(layer.random.state))
    first, second = augmented(layer, images), augmented(layer, images)
    assert (first != second).any()
    np.testing.assert_array_equal(augmented(Augment(seed=5), images), first)
    assert (augmented(Augment(seed=6), images) != first).any()
    layer.random.state.assign(start)
    np.testing.assert_array_equal(augmented(layer, images), first)


def test_each_image_of_a_batch_is_drawn_by_itself():
    images = np.repeat(pictures(1, 8, 8), 64, axis=0)
    changed = augmented(Augment("none", hflip=0.5, vflip=0.25, seed=0), images)
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
    factors = augmented(Augment("none", brightness=(0.9, 1.1), seed=0), flat)[:, 0, 0, 0] / 100
    assert 0.9 <= factors.min() < 0.91
    assert 1.09 < factors.max() <= 1.1
    noisy = augmented(Augment("none", noise=(0.01, 0.05), seed=0), flat)
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
    model = keras.Model(inputs, Augment("light", rotation=20.0, seed=4, name="augment")(inputs))
    model.get_layer("augment").strength.assign(0.5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").get_layer("augment")
    assert loaded.ranges == PRESETS["light"] | {"rotation": 20.0}
    assert float(loaded.strength) == 0.5
    assert loaded.get_config() == model.get_layer("augment").get_config()
    images = pictures(2, 8, 8)
    np.testing.assert_array_equal(
        augmented(loaded, images), augmented(model.get_layer("augment"), images)
    )


def test_an_unknown_preset_is_named():
    with pytest.raises(ValueError, match="no augmentation preset 'heavy'"):
        Augment("heavy")


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is that subprocess")
def test_the_same_on_jax(on_jax):
    on_jax(__file__)
