"""A patient's thickness maps: soft tissue, lungs, heart, mediastinum, vessels, bone, gas."""

from dataclasses import dataclass

import numpy as np

from data_prep.phantom import skeleton, vessels
from data_prep.phantom.geometry import Grid, cloud, curve, moved, smooth_step, tube
from data_prep.phantom.thorax import APEX, HEART, Thorax

AIR_SHARE = 0.22  # density of the healthy, inflated lung relative to soft tissue

SHOULDER = curve(  # the skin from the neck to the arm, as seen from the front
    [(0, -16.2), (4.5, -16), (7, -14.7), (10, -14), (14, -13.7), (17.5, -13), (20, -11), (22, 0)]
)
# Pulmonary arteries at the hila: points and radii, cm.
HILA = (
    ([(-2.2, -1.6), (-3.6, -0.5), (-4.1, 1.4), (-4.5, 3.4)], (0.95, 0.85, 0.7, 0.5)),
    ([(-2.2, -2.3), (-3.5, -3.0), (-4.1, -4.4)], (0.8, 0.55, 0.4)),
    ([(2.4, -2.9), (3.7, -2.5), (4.4, -0.8), (4.9, 1.4)], (0.95, 0.9, 0.7, 0.5)),
    ([(3.0, -3.2), (3.8, -4.4), (4.2, -5.6)], (0.65, 0.5, 0.35)),
)


@dataclass
class Maps:
    """(size, size) float32 arrays; findings change them in place.

    Args:
        tissue: the body's outer thickness, cm, lungs included.
        lung: thickness of the lungs, cm.
        density: of the lungs relative to soft tissue, in [0, 1].
        blood: thickness of vessels in the lungs, cm.
        bone: cm of compact bone.
        metal: cm of metal.
        extra: soft tissue that a finding adds, cm.
    """

    tissue: np.ndarray
    lung: np.ndarray
    density: np.ndarray
    blood: np.ndarray
    bone: np.ndarray
    metal: np.ndarray
    extra: np.ndarray

    @property
    def soft(self) -> np.ndarray:
        """Soft tissue along each ray, cm."""
        gas = (1 - self.density) * np.maximum(self.lung - self.blood, 0)
        return np.maximum(self.tissue - gas, 0) + self.extra


def draw(thorax: Thorax, grid: Grid, rng: np.random.Generator) -> Maps:
    """The patient without those findings that are added to the maps."""
    streams = rng.spawn(4)
    tissue = body(thorax, grid)
    tissue *= 1 + 0.012 * cloud(streams[0], grid, (7, 15, 31))
    heart = heart_chord(thorax, grid)
    lung = lungs(thorax, grid)
    rim = smooth_step(lung, 0.3, 4.5)
    lung = np.maximum(lung - _mediastinum(thorax, grid) - heart, 0)
    tissue -= _airways(thorax, grid, lung)
    tissue -= _stomach(thorax, grid, streams[1])
    blood = vessels.draw(vessels.trees(thorax, streams[2]), grid)
    blood *= rim * (1 - 0.7 * smooth_step(heart, 0, 5))
    blood = np.minimum(1.4 * blood, 0.4 * lung)
    grain = 1 + 0.05 * cloud(streams[3], grid, (40, 80, 130)) + 0.05 * cloud(streams[3], grid, (9,))
    zero = np.zeros_like(tissue)
    return Maps(
        tissue=np.maximum(tissue, 0),
        lung=lung,
        density=np.clip(AIR_SHARE * grain, 0.05, 1).astype(np.float32),
        blood=blood,
        bone=skeleton.bones(thorax, grid),
        metal=zero.copy(),
        extra=zero.copy(),
    )


def body(thorax: Thorax, grid: Grid) -> np.ndarray:
    """Outer thickness of trunk, neck, shoulders, arms and breasts, cm; 0 outside."""
    x, y = grid.body
    wall = 2.6 + thorax.fat
    wide = thorax.half_width(np.maximum(y, -6)) + wall + 0.10 * np.maximum(-y, 0)
    deep = thorax.half_depth(y) + 1.4 + 0.8 * thorax.fat
    trunk = 2 * deep * np.sqrt(np.clip(1 - np.abs(x / wide) ** 3.6, 0, 1))
    trunk *= smooth_step(y, APEX - 3.0, APEX + 6.0)
    total = np.cbrt(trunk**3 + _shoulders(thorax, grid) ** 3 + _neck(thorax, grid) ** 3)
    total = _union(total, _arms(thorax, grid))
    return (total + _breasts(thorax, grid)).astype(np.float32)


def _union(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.sqrt(first**2 + second**2)


def _neck(thorax: Thorax, grid: Grid) -> np.ndarray:
    x, y = grid.body
    radius = 5.2 + 0.5 * thorax.fat
    return 2.5 * radius * np.sqrt(np.clip(1 - (x / radius) ** 2, 0, 1)) * smooth_step(-y, 8, 14)


def _shoulders(thorax: Thorax, grid: Grid) -> np.ndarray:
    x, y = grid.body
    away = np.abs(x) * (13.6 / thorax.width)
    top = np.interp(away, SHOULDER[:, 0], SHOULDER[:, 1]) - 0.3 * thorax.fat
    under = np.clip((y - top) / 3.8, 0, 1)
    depth = 13.0 + 1.2 * thorax.fat
    depth = depth + 2.0 * np.exp(-((away / 9) ** 2))
    return depth * np.sqrt(under * (2 - under)) * smooth_step(-y, -3, 9.5) * (away < 22)


def _arms(thorax: Thorax, grid: Grid) -> np.ndarray:
    scale, radius = thorax.width / 13.6, 4.0 + 0.5 * thorax.fat
    line = curve([(17.2, -9.5), (18.6, -3.0), (20.3, 4.0), (22.5, 14.0), (23.5, 20.0)], 9)
    taper = np.linspace(radius + 0.6, radius - 0.3, 9)
    return 1.6 * sum(tube(grid, line * [side * scale, 1], taper) for side in (-1, 1))


def _breasts(thorax: Thorax, grid: Grid) -> np.ndarray:
    total = np.zeros((grid.size, grid.size), np.float32)
    if thorax.breast <= 0:
        return total
    r = thorax.breast
    for side in (-1, 1):
        x = (grid.body[0] - side * (0.58 * thorax.width)) / (1.08 * r)
        y = (grid.body[1] - 6.2) / np.where(grid.body[1] > 6.2, 0.85 * r, 1.7 * r)
        total += 0.52 * r * np.clip(1 - x**2 - y**2, 0, 1) ** 0.62
    return total


def lungs(thorax: Thorax, grid: Grid) -> np.ndarray:
    """Chords of the chest's inside, less what lies under the domes of the diaphragm."""
    x, y = grid.body
    wide, deep = thorax.half_width(y), thorax.half_depth(y)
    share = np.clip(1 - (x / np.maximum(wide, 0.1)) ** 2, 0, 1)
    crown = np.clip((y - APEX - 0.05 * (np.abs(x) - 5.2) ** 2) / 5.0, 0, 1)
    half = deep * np.sqrt(share * crown * (2 - crown))
    chord = 2 * half
    for side in (-1, 1):
        below = np.clip((y - thorax.dome_line(x, side)) / 0.045, 0, None)
        reach, middle = np.sqrt(below), 2.0
        hidden = np.clip(
            np.minimum(half, middle + reach) - np.maximum(-half, middle - reach), 0, None
        )
        chord = np.where(side * x > 0, chord - hidden, chord)
    return np.maximum(chord, 0)


def heart_chord(thorax: Thorax, grid: Grid) -> np.ndarray:
    """Thickness of the heart, cm."""
    x, y = grid.body
    dx, dy = x - (HEART[0] + thorax.heart_shift), y - HEART[1]
    angles = np.linspace(-np.pi, np.pi, 721)
    border = np.interp(np.arctan2(dy, dx), angles, thorax.heart_radius(angles))
    share = np.clip(1 - (np.hypot(dx, dy) / border) ** 2, 0, 1)
    depth = 12.0 + 12 * max(0.0, thorax.ratio - 0.45)
    depth = depth * (0.55 + 0.45 * smooth_step(y, -5, 2))  # great vessels above, chambers below
    return (depth * np.sqrt(share)).astype(np.float32)


def _mediastinum(thorax: Thorax, grid: Grid) -> np.ndarray:
    """What takes the lungs' place in the middle, besides the heart, cm."""
    parts = (_column(thorax, grid), *_great_vessels(thorax, grid))
    return grid.blur(np.cbrt(sum(part**3 for part in parts)), 0.08)


def _column(thorax: Thorax, grid: Grid) -> np.ndarray:
    """Spine, oesophagus, veins and fat of the midline."""
    x, y = grid.body
    spine = thorax.spine(y)
    middle = 0.3 * spine + 0.4 * thorax.heart_shift
    right = np.interp(y, [-19, -13, -9, -4, 1, 9, 14], [3.4, 2.6, 2.4, 2.9, 2.6, 2.2, 2.4])
    left = np.interp(y, [-19, -13, -9, -5, 1, 9, 14], [3.6, 2.8, 2.3, 2.5, 2.4, 2.2, 2.4])
    v = (x - middle) / np.where(x < middle, right, left)
    thick = np.interp(y, [-8, -3, 1, 7.5, 11], [14, 11, 4, 4, 8]).astype(np.float32)
    below = smooth_step(y, -3, 2)  # under the carina the borders are those of heart and spine
    sharp = np.clip(1 - v**4, 0, 1) ** 0.7
    column = thick * ((1 - below) * sharp + below * np.exp(-1.6 * np.minimum(v**2, 9)))
    column += 3.4 * np.exp(-(((x - spine) / 1.9) ** 2))
    # Between the domes lie heart, oesophagus and liver: no lung.
    floor = thorax.dome + 0.03 * thorax.dome_at(1)[0] ** 2
    return column + 22 * smooth_step(y, floor - 6, floor + 1) * np.exp(-((x / 3.0) ** 2))


def _great_vessels(thorax: Thorax, grid: Grid) -> list[np.ndarray]:
    """Arch, descending and ascending aorta, pulmonary trunk, and the arteries of the hila."""
    (kx, ky), r, shift = thorax.knob_at, thorax.knob, thorax.heart_shift
    low = [(thorax.spine(4.0) + 1.6, 4), (thorax.spine(12.0) + 0.9, 12)]
    return [
        3.6 * tube(grid, [(kx - 0.2, ky + 0.1), (kx, ky)], r),
        1.2 * tube(grid, curve([(kx, ky), (kx - 0.1, -2), *low]), 0.75 * r),
        1.6 * tube(grid, moved([(-1.4, -5.6), (-1.3, -1.0)], shift), 1.5 + 0.3 * (r - 1.7)),
        2.2 * tube(grid, moved([(2.2, -3.3), (2.6, -2.6)], shift), 1.35),
        sum(1.8 * tube(grid, moved(line, shift), radii) for line, radii in HILA),
    ]


def _airways(thorax: Thorax, grid: Grid, lung: np.ndarray) -> np.ndarray:
    """The gas of larynx, trachea and main bronchi, cm."""
    middle = 0.35 * float(thorax.spine(-10.0)) + 0.3 * thorax.heart_shift
    trachea = [(0.1, -24), (0.1, -17), (0.0, -11), (-0.3, -5.2)]
    wide = tube(grid, moved(curve(trachea, 12), middle), 0.95)
    right = tube(grid, moved([(-0.4, -5.0), (-1.9, -3.1), (-3.0, -1.5)], middle), 0.6)
    left = tube(grid, moved([(-0.2, -5.0), (1.8, -3.2), (3.4, -2.3)], middle), 0.52)
    within = 1 - smooth_step(lung, 0, 3)  # beyond the mediastinum the bronchi's gas is the lung's
    return grid.blur(np.maximum(wide, np.maximum(right, left) * within), 0.08) * 1.8


def _stomach(thorax: Thorax, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """The gastric bubble with its fluid level, and some gas in the bowel, cm."""
    x, y = grid.body
    dome_x, dome_y = thorax.dome_at(1)
    wide, high = rng.uniform(1.3, 3.0), rng.uniform(0.8, 2.0)
    cx, cy = dome_x - rng.uniform(0.2, 2.2), dome_y + high + rng.uniform(0.6, 1.1)
    share = np.clip(1 - ((x - cx) / wide) ** 2 - ((y - cy) / high) ** 2, 0, 1)
    level = cy + rng.uniform(0.0, 0.8) * high
    gas = rng.uniform(2.5, 5) * np.sqrt(share) * smooth_step(level - y, -0.05, 0.1)
    for _ in range(int(rng.integers(2, 7))):
        bx, by = rng.uniform(-2, 11), rng.uniform(dome_y + 4, dome_y + 9)
        size = rng.uniform(0.5, 1.5, 2)
        gas += rng.uniform(0.8, 2.2) * np.exp(
            -(((x - bx) / size[0]) ** 2) - ((y - by) / size[1]) ** 2
        )
    return gas * (y > thorax.dome_line(x, 1) + 0.4)
