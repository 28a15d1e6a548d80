"""Heat maps as arrays: from one grid to another, to an image's size, to a common scale."""

from math import ceil

import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]
"""A part of an image: left, top, right, bottom, in fractions of its sides."""

_FINEST = 8  # new cells along one of the grid before


def regrid(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resample maps to another grid over the same square by area weighting, which keeps their mean.

    A cell becomes the mean of the parts of old cells that it covers. Whatever the grids, every part
    of an old cell counts once, so the map's mean is kept up to rounding, unlike with bilinear
    interpolation.

    Args:
        maps: (..., h, w) float.
        height: rows of the new grid.
        width: its columns.

    Returns:
        (..., height, width) float64.
    """
    rows, columns = _overlap(maps.shape[-2], height), _overlap(maps.shape[-1], width)
    return rows @ maps @ columns.T


def grid_around(grid: tuple[int, int], box: Box) -> tuple[int, int]:
    """The grid of a whole image on which to lay maps of a part of it.

    Args:
        grid: (h, w) of the maps.
        box: the part.

    Returns:
        (H, W): cells at most as large as the maps', with the box's edges between them where a few
        times as many reach that.
    """
    left, top, right, bottom = box
    return _around(grid[0], top, bottom), _around(grid[1], left, right)


def _around(cells: int, start: float, end: float) -> int:
    least = ceil(cells / (end - start) - 1e-9)
    for count in range(least, _FINEST * least + 1, least):
        if all(abs(edge * count - round(edge * count)) < 1e-6 for edge in (start, end)):
            return count
    return _FINEST * least


def laid(maps: np.ndarray, box: Box, grid: tuple[int, int]) -> np.ndarray:
    """Lay maps of a part of an image where that part lies, by area weighting as in `regrid`.

    Around it, where nothing is known, is zero, or a map's lowest value if that is below, so that no
    map is highest there.

    Args:
        maps: (..., h, w) float; their cells tile the box.
        box: the part.
        grid: (H, W), e.g. of `grid_around`.

    Returns:
        (..., H, W) float64; the cells tile the image.
    """
    left, top, right, bottom = box
    rows = _overlap(maps.shape[-2], grid[0], top, bottom)
    columns = _overlap(maps.shape[-1], grid[1], left, right)
    around = 1 - np.outer(rows.sum(axis=1), columns.sum(axis=1))
    lowest = np.minimum(maps.min(axis=(-2, -1), keepdims=True), 0)
    return rows @ maps @ columns.T + np.maximum(around, 0) * lowest


def _overlap(old: int, new: int, start: float = 0.0, end: float = 1.0) -> np.ndarray:
    """(new, old) share of each new cell of a side that lies in each old one.

    The old ones tile the side from `start` to `end`; rows sum to 1 where all of it is theirs.
    """
    if old == new and (start, end) == (0, 1):
        return np.eye(old)
    fine, coarse = np.arange(new + 1) / new, start + np.arange(old + 1) / old * (end - start)
    low = np.maximum(fine[:-1, None], coarse[None, :-1])
    high = np.minimum(fine[1:, None], coarse[None, 1:])
    return np.clip(high - low, 0, None) * new


def enlarged(heat: np.ndarray, side: int) -> np.ndarray:
    """Enlarge a map to an image's size: bilinear between cell centres, constant beyond them.

    Args:
        heat: (h, w) float; its cells tile the image.
        side: S of the image, pixels, at least h and w.

    Returns:
        (S, S) float32.
    """
    image = Image.fromarray(np.ascontiguousarray(heat, np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def to_bytes_scale(heat: np.ndarray) -> np.ndarray:
    """Scale a map's lowest to highest value to 0 to 255; a level map becomes all 0.

    The scale of the ChestX-ray8 paper's thresholds (Wang et al., CVPR 2017).

    Args:
        heat: (h, w) float.

    Returns:
        (h, w) float64 in [0, 255].
    """
    heat = np.asarray(heat, np.float64)
    low, high = heat.min(), heat.max()
    if not high > low:
        return np.zeros_like(heat)
    return (heat - low) / (high - low) * 255


def peak(heat: np.ndarray, side: int) -> tuple[float, float] | None:
    """Find a map's highest point: the centre of its highest cell, which bilinear enlarging keeps.

    Args:
        heat: (h, w) float; its cells tile the image.
        side: S of the image, pixels.

    Returns:
        (x, y) in pixels from the upper left corner; None for a level map, which points nowhere. Of
        equal cells, the first in reading order.
    """
    if not heat.max() > heat.min():
        return None
    row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
    return float((column + 0.5) * side / heat.shape[1]), float((row + 0.5) * side / heat.shape[0])
