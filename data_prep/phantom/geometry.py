"""Where things are drawn: body coordinates in cm, the detector's pixels, and the strokes of a pen.

Body coordinates: x to the viewer's right (the patient's left), y down, z towards the sternum; the
origin lies in the midline at the height of the sixth thoracic vertebra. A map of thickness is a
(size, size) float32 array in cm.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

Box = tuple[float, float, float, float]  # left, top, right, bottom in body coordinates, cm


@dataclass(frozen=True)
class Grid:
    """The detector, and how the patient stands before it.

    Args:
        size: pixels on a side of the square detector.
        field: length of a side, cm.
        zoom: magnification by geometry and body size.
        roll: lean of the patient in the detector's plane, radians.
        shift: displacement of the patient, (x, y) in cm.
    """

    size: int
    field: float = 37.0
    zoom: float = 1.0
    roll: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)

    @property
    def pixel(self) -> float:
        """The side of a pixel, cm at the detector."""
        return self.field / self.size

    @cached_property
    def detector(self) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates (x, y) of pixel centres, cm from the detector's middle; broadcastable."""
        axis = ((np.arange(self.size) + 0.5) / self.size - 0.5).astype(np.float32) * self.field
        return axis[None, :], axis[:, None]

    @cached_property
    def body(self) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates (x, y) of every pixel centre in body coordinates, (size, size) each."""
        across, down = self.detector
        across, down = across - self.shift[0], down - self.shift[1]
        cos, sin = np.float32(np.cos(self.roll)), np.float32(np.sin(self.roll))
        x = (cos * across + sin * down) / np.float32(self.zoom)
        y = (cos * down - sin * across) / np.float32(self.zoom)
        return x, y

    def pixels(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixel coordinates (centre of the first pixel = 0) of points given in the body's."""
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        across = self.zoom * (cos * x - sin * y) + self.shift[0]
        down = self.zoom * (sin * x + cos * y) + self.shift[1]
        return (
            (across / self.field + 0.5) * self.size - 0.5,
            (down / self.field + 0.5) * self.size - 0.5,
        )

    def box(self, box: Box) -> tuple[int, int, int, int]:
        """A box of the body as (x, y, width, height) in whole pixels, cut to the detector."""
        left, top, right, bottom = box
        columns, rows = self.pixels(
            np.array([left, right, left, right]), np.array([top, top, bottom, bottom])
        )
        start = np.clip(np.floor([columns.min(), rows.min()]), 0, self.size - 2).astype(int)
        stop = np.clip(np.ceil([columns.max(), rows.max()]) + 1, start + 1, self.size).astype(int)
        return int(start[0]), int(start[1]), int(stop[0] - start[0]), int(stop[1] - start[1])

    def splat(self, x: np.ndarray, y: np.ndarray, volume: np.ndarray) -> np.ndarray:
        """Drop `volume` (cm³ each) at points of the body; the sum is kept, the result is in cm."""
        column, row = self.pixels(x.ravel(), y.ravel())
        inside = (column > 0) & (row > 0) & (column < self.size - 1) & (row < self.size - 1)
        column, row, weight = column[inside], row[inside], np.ravel(volume)[inside]
        left, top = column.astype(np.int32), row.astype(np.int32)
        right_part, low_part = column - left, row - top
        first = top * self.size + left
        total = np.zeros(self.size**2)
        for step, part in (
            (0, (1 - right_part) * (1 - low_part)),
            (1, right_part * (1 - low_part)),
            (self.size, (1 - right_part) * low_part),
            (self.size + 1, right_part * low_part),
        ):
            total += np.bincount(first + step, weight * part, minlength=self.size**2)
        area = (self.pixel / self.zoom) ** 2
        return (total / area).reshape(self.size, self.size).astype(np.float32)

    def blur(self, image: np.ndarray, sigma: float) -> np.ndarray:
        """Gaussian blur with `sigma` in cm; below a quarter of a pixel the image as it is."""
        pixels = sigma / self.pixel
        return image if pixels < 0.25 else gaussian_filter(image, pixels, truncate=3.0)


def tube(grid: Grid, line: Iterable, radius: float | Iterable[float]) -> np.ndarray:
    """Thickness in cm of a round tube along the polyline `line` ((n, 2), cm); joints are round."""
    thickness = np.zeros((grid.size, grid.size), np.float32)
    line = np.asarray(line, float)
    radii = np.broadcast_to(radius, len(line))
    for start, stop, first, last in zip(line, line[1:], radii, radii[1:], strict=False):
        _segment(grid, thickness, start, stop, float(first), float(last))
    return thickness


def _segment(grid, thickness, start, stop, first, last) -> None:
    reach = max(first, last, 0.6 * grid.pixel)
    low, high = np.minimum(start, stop) - reach, np.maximum(start, stop) + reach
    column, row, width, height = grid.box((low[0], low[1], high[0], high[1]))
    part = np.s_[row : row + height, column : column + width]
    x, y = grid.body[0][part], grid.body[1][part]
    along = stop - start
    length = max(float(along @ along), 1e-9)
    t = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / length, 0, 1)
    square = (x - start[0] - t * along[0]) ** 2 + (y - start[1] - t * along[1]) ** 2
    r = first + (last - first) * t
    # A tube thinner than a pixel is drawn one pixel wide and as much thinner in depth.
    wide = np.maximum(r, 0.6 * grid.pixel)
    chord = 2 * r * r / wide * np.sqrt(np.clip(1 - square / wide**2, 0, None))
    np.maximum(thickness[part], chord, out=thickness[part])


def smooth_step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, with a continuous slope between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def curve(points: list[tuple[float, float]], number: int = 40) -> np.ndarray:
    """A smooth line through `points` (Catmull-Rom), as (number, 2)."""
    known = np.array(points, float)
    known = np.vstack([2 * known[0] - known[1], known, 2 * known[-1] - known[-2]])
    where = np.linspace(0, len(points) - 1, number)
    index = np.minimum(where.astype(int), len(points) - 2)
    t = (where - index)[:, None]
    a, b, c, d = (known[index + k] for k in range(4))
    return 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )


def moved(line: Iterable, across: float) -> np.ndarray:
    """The points (n, 2) displaced by `across` in x."""
    return np.asarray(line, float) + np.array([across, 0.0])


KINDS = ("labels", "patient", "exposure", "anatomy", "noise", "marker")


def stream(kind: str, key: tuple[int, ...]) -> np.random.Generator:
    """Random numbers of their own for every use of the same key (numbers >= 0)."""
    # NumPy pads a short key with zeros, so length and use stand in front.
    return np.random.default_rng((1 + KINDS.index(kind), len(key), *key))


def cloud(rng: np.random.Generator, grid: Grid, scales: tuple[int, ...]) -> np.ndarray:
    """Smooth random texture, mean about 0 and sd about 1: one layer for each of `scales`.

    A scale is the number of random cells on a side, so the texture is the same at every size.
    """
    total = np.zeros((grid.size, grid.size), np.float32)
    for cells in scales:
        coarse = rng.standard_normal((cells, cells)).astype(np.float32)
        total += resize(coarse, grid.size)
    return total * np.float32(1.4 / np.sqrt(len(scales)))


def resize(image: np.ndarray, size: int, how: int = Image.Resampling.BICUBIC) -> np.ndarray:
    """A float32 image at (size, size)."""
    return np.asarray(Image.fromarray(image.astype(np.float32)).resize((size, size), how))
