"""Whether two prepared images show one film: their correlation once one is registered on the other.

Measured on 1,378 images of ChestX-ray14 (tests/data_prep/dataset/copies/test_duplicates.py):
different films score at most 0.93, even two of one patient.
"""

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

SAME_FILM = 0.96
_PYRAMID = ((32, 6), (64, 5), (128, 4))  # side in pixels, steps of the registration
_HOPELESS = 0.85  # below this at a coarser side, the finer ones needn't be tried
_BORDER = 0.88  # part of the half side that is compared: what a crop cuts off isn't


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """How far two prepared images are one film: their correlation after registration.

    Local contrast normalisation takes brightness and gamma away; scale and shift along both axes
    (what cropping and resizing change) are fitted by Gauss-Newton from coarse to fine.

    Args:
        first: (S, S) uint8.
        second: likewise.

    Returns:
        Pearson's correlation over the inner part, -1 to 1; 0 where an image has no detail.
    """
    move = np.zeros(4)
    score = 0.0
    for side, steps in _PYRAMID:
        move, score = _register(_detail(first, side), _detail(second, side), move, steps)
        if score < _HOPELESS:
            break
    return score


def _detail(square: np.ndarray, side: int) -> np.ndarray:
    small = Image.fromarray(square).resize((side, side), Image.Resampling.BOX)
    grey = np.asarray(small, np.float32) / 255
    width = 6 * side / 128
    mean = gaussian_filter(grey, width)
    variance = gaussian_filter((grey - mean) ** 2, width)
    return gaussian_filter((grey - mean) / np.sqrt(variance + 1e-4), 1.0)


def _register(
    first: np.ndarray, second: np.ndarray, move: np.ndarray, steps: int
) -> tuple[np.ndarray, float]:
    """Lucas-Kanade with (scale x, shift x, scale y, shift y), in units of the half side."""
    side = len(first)
    half = (side - 1) / 2
    grid = np.linspace(-1, 1, side)
    y, x = np.meshgrid(grid, grid, indexing="ij")
    inside = (abs(x) < _BORDER) & (abs(y) < _BORDER)
    x, y, target = x[inside], y[inside], first[inside]
    slopes = np.gradient(second)

    def sample(image: np.ndarray) -> np.ndarray:
        at = np.stack([y * (1 + move[2]) + move[3] + 1, x * (1 + move[0]) + move[1] + 1]) * half
        return map_coordinates(image, at, order=1, mode="nearest")

    for _ in range(steps):
        down, right = (sample(slope) * half for slope in slopes)
        jacobian = np.stack([right * x, right, down * y, down], axis=1)
        normal = jacobian.T @ jacobian + 1e-6 * len(target) * np.eye(4)
        step = np.linalg.solve(normal, jacobian.T @ (target - sample(second)))
        move = np.clip(move + step, -0.2, 0.2)
    return move, _correlation(target, sample(second))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(), second - second.mean()
    size = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / size) if size > 1e-6 * len(first) else 0.0
