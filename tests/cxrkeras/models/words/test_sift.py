"""Dense SIFT against its definition, pixel by pixel, and against OpenCV's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from cxrkeras.models.words import sift
from cxrkeras.models.words.sift import Grid, dense_sift

GRID = Grid(5, (4, 6))


def texture(seed=0, side=48):
    """Smooth noise, 0 to 255."""
    image = gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 1.5)
    return np.float32(255 * (image - image.min()) / np.ptp(image))


def described(image, grid=GRID):
    """All descriptors and their middles."""
    return tuple(map(np.concatenate, zip(*dense_sift(image, grid), strict=True)))


def by_definition(image, row, column, size):
    """A descriptor from its pixels; (row, column) is the middle of its first bin."""
    smooth = np.pad(gaussian_filter(np.float64(image) / 255, size / 6, mode="nearest"), 99, "edge")
    inside = slice(99, 99 + len(image))
    down, right = np.gradient(smooth[inside, inside])
    down, right = (np.pad(gradient, 99, "edge") for gradient in (down, right))
    found = np.zeros((4, 4, 8))
    for y, x in np.ndindex(4, 4):
        window = [
            np.mean([np.exp(-(((d + (n - 1.5) * size) / (1.5 * size)) ** 2) / 2) for d in offsets])
            for n, offsets in ((y, range(1 - size, size)), (x, range(1 - size, size)))
        ]
        for dy, dx in np.ndindex(2 * size - 1, 2 * size - 1):
            dy, dx = dy - size + 1, dx - size + 1
            at = 99 + row + y * size + dy, 99 + column + x * size + dx
            turn = np.arctan2(down[at], right[at]) / (2 * np.pi) * 8 % 8
            weight = (1 - abs(dy) / size) * (1 - abs(dx) / size) * window[0] * window[1]
            strength = weight * np.hypot(down[at], right[at])
            found[y, x, int(turn) % 8] += strength * (1 - turn % 1)
            found[y, x, (int(turn) + 1) % 8] += strength * (turn % 1)
    unit = found / np.linalg.norm(found.ravel())
    clipped = np.minimum(unit, 0.2)
    return (clipped / np.linalg.norm(clipped.ravel())).ravel()


def test_descriptors_are_those_of_the_definition():
    image = texture()
    found, middles = described(image)
    sizes = np.repeat(GRID.bins, [len(part) for part, _ in dense_sift(image, GRID)])
    assert set(sizes) == set(GRID.bins)
    for place in (0, 7, len(found) - 1):
        size = int(sizes[place])
        first = np.rint(middles[place] - 1.5 * size).astype(int)
        expected = by_definition(image, *first, size)
        np.testing.assert_allclose(found[place], expected, atol=2e-6)


def test_descriptors_are_opencv_s_but_for_the_flat_window():
    cv2 = pytest.importorskip("cv2")
    image = np.rint(texture(1, 96))
    for size in (4, 6, 8, 10):
        found, middles = described(image, Grid(6, (size,)))
        # OpenCV's bins are 3 times half a keypoint's size; its angles turn the other way.
        points = [cv2.KeyPoint(float(x), float(y), size * 2 / 3, 0) for y, x in middles]
        peer = cv2.SIFT_create(sigma=max(size / 6, 0.51))
        kept, theirs = peer.compute(image.astype(np.uint8), points)
        assert len(kept) == len(points)
        theirs = theirs.reshape(-1, 16, 8)[..., -np.arange(8) % 8].reshape(-1, 128)
        cosine = (found * theirs).sum(axis=1) / np.linalg.norm(theirs, axis=1)
        assert np.median(cosine) > 0.97, size
        assert cosine.min() > 0.9, size
        wrong = (found[::-1] * theirs).sum(axis=1) / np.linalg.norm(theirs, axis=1)
        assert np.median(wrong) < 0.8


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 99), st.floats(0.4, 0.9), st.floats(0, 20))
def test_brightness_and_contrast_make_no_difference(seed, gain, offset):
    image = texture(seed)
    np.testing.assert_allclose(described(image * gain + offset)[0], described(image)[0], atol=1e-4)


def test_a_turned_image_has_turned_descriptors():
    grid = Grid(4, (6,))
    image = texture(3, 43)  # 25 pixels of starts: the grid is symmetric
    found, _ = described(image, grid)
    turned, _ = described(np.rot90(image), grid)
    side = round(len(found) ** 0.5)
    expected = np.rot90(found.reshape(side, side, 4, 4, 8), axes=(0, 1))
    expected = np.rot90(expected, axes=(2, 3))[..., (np.arange(8) + 2) % 8]
    np.testing.assert_allclose(turned.reshape(expected.shape), expected, atol=1e-5)


def test_what_is_flat_has_no_descriptor():
    assert (described(np.full((48, 48), 99.0))[0] == 0).all()
    lengths = np.linalg.norm(described(texture())[0], axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_blocks_make_no_difference_and_scales_share_their_middles(monkeypatch):
    whole, middles = described(texture())
    monkeypatch.setattr(sift, "_MOST", 1)
    blocks = described(texture())
    np.testing.assert_allclose(blocks[0], whole, atol=1e-6)
    np.testing.assert_array_equal(blocks[1], middles)
    monkeypatch.undo()
    starts = [found[0] for _, found in dense_sift(texture(), GRID)]
    np.testing.assert_array_equal(starts, 9)
    assert middles.max() <= 47
