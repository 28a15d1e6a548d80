"""Dense SIFT with flat windows: gradients in 4 x 4 bins of 8 directions, at every few pixels.

Source: Lowe, IJCV 2004 (6.1); grid, scales and windows are VLFeat's (`vl_phow`, `Fast`), after
Bosch, Zisserman and Munoz, ICCV 2007.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

BINS, DIRECTIONS = 4, 8
WIDTH = BINS * BINS * DIRECTIONS
"""The numbers of a descriptor."""
_MAGNIFIED = 6  # the image is smoothed by a sixth of the bin's side
_WINDOW = 1.5  # standard deviation of the Gaussian window, in bins
_FLAT = 0.005  # mean gradient, of an image from 0 to 1, below which a descriptor is zero
_LARGEST = 0.2  # share of a descriptor's length that one number may have
_MOST = 8_000  # descriptors computed at once


class Grid(NamedTuple):
    """Where descriptors lie.

    Args:
        step: pixels between neighbours.
        bins: sides of the bins in pixels, one for each scale.
    """

    step: int
    bins: tuple[int, ...]

    @property
    def smallest(self) -> int:
        """The side in pixels of the smallest image with a descriptor at each scale."""
        return (BINS - 1) * max(self.bins) + 1


def dense_sift(image: np.ndarray, grid: Grid) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The descriptors of an image, in blocks of some thousands.

    Args:
        image: (S, S) float32, grey 0-255, S at least `grid.smallest`.
        grid: where.

    Yields:
        (n, 128) float32, by row, column and direction, of length 1 or 0; and (n, 2) float32, the
        descriptors' middles, row and column in pixels.
    """
    side = len(image)
    for size in grid.bins:
        starts = _starts(side, grid, size)
        smooth = gaussian_filter(
            np.asarray(image, np.float32) / 255, size / _MAGNIFIED, mode="nearest"
        )
        columns, directed = _bins(side, grid, size), _directed(smooth)
        middles = starts + np.float32((BINS - 1) / 2 * size)
        rows_at_once = max(1, _MOST // len(starts))
        for first in range(0, len(starts), rows_at_once):
            part = slice(first, first + rows_at_once)
            rows = columns[:, part].reshape(-1, side)
            found = rows @ directed @ columns.reshape(-1, side).T
            yield _descriptors(found, size), _grid_of(middles[part], middles)


def _starts(side: int, grid: Grid, size: int) -> np.ndarray:
    """Middles of the first bins; the first descriptor has its middle where the largest one has."""
    first = 3 * (max(grid.bins) - size) // 2
    return np.arange(first, side - (BINS - 1) * size, grid.step)


@lru_cache(16)
def _bins(side: int, grid: Grid, size: int) -> np.ndarray:
    """(4, n, S) float32: what each pixel of a line gives to the bins of the n descriptors on it.

    A triangle of height 1 around a bin's middle, times the mean over it of the window, which makes
    VLFeat's `Fast`; beyond the image its last pixel goes on.
    """
    starts = _starts(side, grid, size)
    found = np.zeros((BINS, len(starts), side), np.float32)
    offsets = np.arange(1 - size, size)
    for number in range(BINS):
        from_middle = offsets + (number - (BINS - 1) / 2) * size
        window = np.exp(-0.5 * (from_middle / (_WINDOW * size)) ** 2).mean()
        for offset in offsets:
            pixels = np.clip(starts + number * size + offset, 0, side - 1)
            found[number, np.arange(len(starts)), pixels] += window * (1 - abs(offset) / size)
    return found


def _directed(image: np.ndarray) -> np.ndarray:
    """(8, S, S): the gradients' lengths, each shared by the two directions beside its own."""
    down, right = np.gradient(image)
    turn = np.arctan2(down, right) * np.float32(DIRECTIONS / (2 * np.pi)) % DIRECTIONS
    length, lower = np.hypot(down, right), np.floor(turn)
    share, lower = (turn - lower) * length, lower.astype(int) % DIRECTIONS
    found = np.zeros((DIRECTIONS, *image.shape), np.float32)
    y, x = np.indices(image.shape, sparse=True)
    found[lower, y, x] = length - share
    found[(lower + 1) % DIRECTIONS, y, x] = share
    return found


def _descriptors(found: np.ndarray, size: int) -> np.ndarray:
    """(8, 4n, 4m) sums -> (n * m, 128), normalised, clipped, and normalised again."""
    bins = found.reshape(DIRECTIONS, BINS, -1, BINS, found.shape[2] // BINS)
    raw = bins.transpose(2, 4, 1, 3, 0).reshape(-1, WIDTH)
    mean = raw.sum(axis=1, keepdims=True) / ((BINS - 1) * size + 1) ** 2
    clipped = np.minimum(_unit(raw), _LARGEST)
    return np.where(mean < _FLAT, np.float32(0), _unit(clipped))


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return rows / (lengths + np.finfo(np.float32).eps)


def _grid_of(rows: Sequence[float], columns: Sequence[float]) -> np.ndarray:
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
