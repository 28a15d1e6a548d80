"""Another pixel scaling, folded into the first convolution, changes nothing, border included."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.models.backbones.shared.scaling import SCALINGS, grey_to_colour
from cxrkeras.models.importing.pixels import PIXELS, fold_scaling
from data_prep.errors import UserError

BROAD = [name for name in PIXELS if name != "tf"]  # channels that differ, or one slope and offset


def convolved(scaled: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """As both trunks begin: zero padding after the scaling, then a strided convolution."""
    padded = np.pad(scaled, ((0, 0), (3, 3), (3, 3), (0, 0)))
    return np.asarray(keras.ops.conv(np.float64(padded), np.float64(kernel), strides=2))


def scaled(grey: np.ndarray, scaling: str, channels: int) -> np.ndarray:
    slope, offset = (np.array(part)[:channels] for part in PIXELS[scaling])
    return grey * slope + offset


@given(
    theirs=st.sampled_from(sorted(PIXELS)),
    ours=st.sampled_from(["torch", "caffe"]),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 1000),
)
def test_the_folded_kernel_does_the_same(theirs, ours, channels, seed):
    rng = np.random.default_rng(seed)
    grey = rng.uniform(0, 255, (1, 9, 9, 1))
    kernel = rng.normal(size=(7, 7, channels, 4))
    expected = convolved(scaled(grey, theirs, channels), kernel)
    folded = fold_scaling(kernel, theirs, ours)
    assert folded.shape == (7, 7, 3, 4)
    found = convolved(scaled(grey, ours, 3), folded)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_the_scaling_layers_and_float32_keep_it():
    """As in use: `grey_to_colour` and the kernel in single precision."""
    rng = np.random.default_rng(0)
    grey = np.float32(rng.integers(0, 256, (2, 32, 32, 1)))
    kernel = rng.normal(size=(7, 7, 1, 8)) / 600
    expected = convolved(scaled(np.float64(grey), "xrv", 1), kernel)
    folded = fold_scaling(kernel, "xrv", "torch").astype(np.float32)
    found = convolved(np.asarray(grey_to_colour(grey, SCALINGS["torch"])), folded)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("scaling", ["torch", "caffe"])
def test_the_own_scaling_leaves_a_kernel_as_it_is(scaling):
    kernel = np.random.default_rng(0).normal(size=(7, 7, 3, 2))
    np.testing.assert_allclose(fold_scaling(kernel, scaling, scaling), kernel, atol=1e-12)


def test_of_all_solutions_it_is_the_nearest():
    """Moving along the one free direction only leads away from the original's kernel."""
    kernel = np.random.default_rng(1).normal(size=(1, 1, 3, 1))
    folded = fold_scaling(kernel, "caffe", "torch")
    free = np.cross(*map(np.array, PIXELS["torch"]))
    assert abs(free @ (folded - kernel)[0, 0, :, 0]) < 1e-9 * np.linalg.norm(free)


def test_torchxrayvision_s_range():
    slope, offset = PIXELS["xrv"]
    assert (0 * slope[0] + offset[0], 255 * slope[0] + offset[0]) == (-1024, 1024)


@pytest.mark.parametrize("ours", ["tf", "none"])
def test_a_trunk_whose_channels_are_alike_has_no_room_for_it(ours):
    with pytest.raises(UserError, match="can't be taken over into a trunk whose own is"):
        fold_scaling(np.ones((3, 3, 3, 1)), "torch", ours)
