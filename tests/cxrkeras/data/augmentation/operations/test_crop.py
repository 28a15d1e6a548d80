"""A random part of the image: its window resampled by hand, its draws against torchvision."""

import keras
import numpy as np
import pytest
from scipy.stats import ks_2samp

from cxrkeras.data.augmentation.operations.crop import Part
from cxrkeras.data.augmentation.shared.draws import Draws
from cxrkeras.registry import PRESETS
from tests.cxrkeras.data.augmentation.drawn import pictures

pytestmark = pytest.mark.jax


class Chosen(Draws):
    """Draws that are given: each area, ratio and place in turn."""

    def __init__(self, images, *values):
        super().__init__(images, None, 1.0)
        self._values = list(values)

    def uniform(self, low, high, neutral=0.0):
        """The next value, whatever the range."""
        return keras.ops.convert_to_tensor(np.float32([self._values.pop(0)] * self._number))

    def chance(self, probability):
        """Mirrored for certain or not at all."""
        return keras.ops.convert_to_tensor(np.array([probability == 1] * self._number))


def resampled(image, box, side):
    """(H, W) -> (side, side): bilinear between pixels' middles, the edge repeated, as torch's
    `interpolate(align_corners=False)` of the box (left, top, width, height) in pixels.
    """

    def matrix(start, length, extent):
        found = np.zeros((side, extent))
        for row in range(side):
            place = np.clip(start + (row + 0.5) * length / side - 0.5, 0, extent - 1)
            low = int(place)
            found[row, low] += 1 - (place - low)
            found[row, min(low + 1, extent - 1)] += place - low
        return found

    left, top, width, height = box
    rows, columns = matrix(top, height, image.shape[0]), matrix(left, width, image.shape[1])
    return rows @ image @ columns.T


@pytest.mark.parametrize("hflip", [0, 1])
@pytest.mark.parametrize(
    ("area", "ratio", "place"),
    [(0.25, 1.0, (0.0, 0.0)), (0.5, 1.3, (-0.5, 0.5)), (0.1, 0.8, (0.3, -0.2)), (1, 1, (0, 0))],
)
def test_the_window_shows_the_part(hflip, area, ratio, place):
    size, side = 32, 24
    images = pictures(2, size, size)
    operation = Part(hflip=hflip, window=side / size)
    sides = [area / operation.window**2, np.log(ratio)] * 10
    changed = np.asarray(operation.apply(images, Chosen(images, *sides, *place)))
    start = (size - side) // 2
    width, height = size * np.sqrt(area * ratio), size * np.sqrt(area / ratio)
    left, top = ((p + 0.5) * (size - s) for p, s in zip(place, (width, height), strict=True))
    for image, found in zip(images, changed, strict=True):
        wanted = resampled(image[..., 0], (left, top, width, height), side)
        wanted = wanted[:, ::-1] if hflip else wanted
        window = found[start : start + side, start : start + side, 0]
        np.testing.assert_allclose(window, wanted, atol=0.05)


def torchvision_s(area, ratio, rng):
    """RandomResizedCrop.get_params on a square of side 1, without rounding to pixels."""
    for _ in range(10):
        share = rng.uniform(*area)
        form = np.exp(rng.uniform(*np.log(ratio)))
        wide, tall = np.sqrt(share * form), np.sqrt(share / form)
        if wide <= 1 and tall <= 1:
            return wide, tall
    return 1.0, 1.0


@pytest.mark.parametrize("area", [(0.08, 1.0), (0.9, 1.0)])
def test_parts_are_drawn_as_torchvision_draws_them(area):
    rng, ratio = np.random.default_rng(0), (0.75, 4 / 3)
    wanted = np.array([torchvision_s(area, ratio, rng) for _ in range(4000)])
    images = np.zeros((4000, 1, 1, 1), np.float32)
    draws = Draws(images, keras.random.SeedGenerator(0), 1.0)
    for window in (1.0, 0.875):
        found = Part(area=area, ratio=ratio, window=window)._sides(draws)
        across, down = (np.asarray(one) * window for one in found)
        assert max(across.max(), down.max()) <= 1 + 1e-6
        assert ks_2samp(across, wanted[:, 0]).pvalue > 1e-3
        assert ks_2samp(down, wanted[:, 1]).pvalue > 1e-3


def test_the_preset_is_told_what_the_network_sees():
    assert PRESETS.make("crops").within(1.0) == PRESETS.make("crops")
    assert str(PRESETS.make("crops").within(0.875)) == "crops:window=0.875"
    assert PRESETS.make("crops:window=0.5").within(0.875).window == 0.5
    assert PRESETS.make("study").within(0.5) == PRESETS.make("study")
