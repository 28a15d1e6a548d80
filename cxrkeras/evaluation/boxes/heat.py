"""Heat maps as arrays: from one grid to another, to an image's size, to a common scale."""

import numpy as np
from PIL import Image


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


def _overlap(old: int, new: int) -> np.ndarray:
    """(new, old) share of each new cell that lies in each old cell; rows sum to 1."""
    if old == new:
        return np.eye(old)
    fine, coarse = np.arange(new + 1) / new, np.arange(old + 1) / old
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
