"""Noise is normal, with the sigma that it should have, and independent from pixel to pixel."""

import keras
import numpy as np
import pytest
from scipy import stats

from cxrkeras.data.augmentation.operations.noise import Part
from cxrkeras.data.augmentation.shared.draws import Draws

pytestmark = pytest.mark.jax
SIGMA = 0.02


@pytest.fixture(scope="module")
def drawn():
    """(2, 256, 256): what is added to a black batch, in units of sigma."""
    images = keras.ops.zeros((2, 256, 256, 1))
    draws = Draws(images, keras.random.SeedGenerator(3), 1.0)
    noisy = np.asarray(Part(noise=(SIGMA, SIGMA)).apply(images, draws), float)
    return noisy[..., 0] / (255 * SIGMA)


def test_noise_is_normal(drawn):
    values = drawn.ravel()
    assert stats.kstest(values, "norm").pvalue > 1e-3
    # Of 131,072: four standard errors.
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        error = np.sqrt(spread / len(values))
        assert abs((values**power).mean() - moment) < 4 * error
    for limit in (3, 4):
        wanted = 2 * stats.norm.sf(limit) * len(values)
        assert abs((np.abs(values) > limit).sum() - wanted) < 4 * np.sqrt(wanted)
    assert np.isfinite(values).all()


def test_a_pixel_s_noise_says_nothing_of_another_s(drawn):
    first, second = drawn
    pairs = {
        "across": (drawn[:, :, :-1], drawn[:, :, 1:]),
        "two further": (drawn[:, :, :-2], drawn[:, :, 2:]),
        "four further": (drawn[:, :, :-4], drawn[:, :, 4:]),
        "down": (drawn[:, :-1], drawn[:, 1:]),
        "images": (first, second),
    }
    for name, (one, other) in pairs.items():
        for shape in (np.sign, np.abs, lambda z: z):
            found = np.corrcoef(shape(one).ravel(), shape(other).ravel())[0, 1]
            assert abs(found) < 4 / np.sqrt(one.size), name


def test_the_lowest_uniform_number_has_a_normal_one(monkeypatch):
    """It comes once in 8 million pixels; that of -1 would be infinite."""
    images = keras.ops.zeros((1, 1, 1, 1))

    def lowest(shape, minval, maxval, dtype, seed):
        return keras.ops.full(shape, minval, dtype=dtype)

    monkeypatch.setattr(keras.random, "uniform", lowest)
    found = Draws(images, keras.random.SeedGenerator(0), 1.0).normal(images, 1.0)
    assert -5.6 < float(found[0, 0, 0, 0]) < -5.2
