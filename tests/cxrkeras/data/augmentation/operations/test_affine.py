"""Geometry: conventions, and an independent resampler; on TensorFlow and on JAX."""

import keras
import numpy as np
import pytest
from scipy import ndimage

from cxrkeras.data.augmentation.operations.affine import affine_maps
from cxrkeras.data.augmentation.operations.shared.resample import resampled
from tests.cxrkeras.data.augmentation.drawn import pictures

STILL = {
    "rotation": 0.0,
    "shift_x": 0.0,
    "shift_y": 0.0,
    "shear": 0.0,
    "zoom": 1.0,
    "flip_x": 1.0,
    "flip_y": 1.0,
}


def moved(images, **change):
    """The images under one map, given as scalars."""
    scalars = STILL | change
    columns = {name: np.full(len(images), value, np.float32) for name, value in scalars.items()}
    maps = affine_maps(*images.shape[1:3], **columns)
    return np.asarray(resampled(images, maps))


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


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is that subprocess")
def test_the_same_on_jax(on_jax):
    on_jax(__file__)
