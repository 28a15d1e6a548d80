"""The lungs' vessels: trees that fork from the hila and taper towards the pleura."""

from itertools import pairwise

import numpy as np

from data_prep.phantom.geometry import Grid
from data_prep.phantom.thorax import Thorax

STEP = 0.12  # cm between the points of a branch
Tree = tuple[np.ndarray, np.ndarray, np.ndarray]  # x, y, radius of the points, cm


def trees(thorax: Thorax, rng: np.random.Generator, generations: int = 6) -> Tree:
    """Both lungs' vessels."""
    parts = []
    for side, hilum in ((-1, (-3.4, -0.4)), (1, (3.8, -1.4))):
        parts += _lung(thorax, rng, side, hilum, generations)
    return tuple(np.concatenate([p[k] for p in parts]) for k in range(3))


def _lung(thorax, rng, side, hilum, generations) -> list[Tree]:
    # 0 points outwards, pi/2 down. Arteries fan out; the lower lobe gets the larger ones.
    angle = np.deg2rad(np.array([-80, -62, -45, -24, -5, 14, 30, 44, 55, 64, 72, 80.0]))
    angle = angle + rng.normal(0, 0.10, len(angle))
    radius = np.array([0.28, 0.30, 0.26, 0.22, 0.22, 0.24, 0.30, 0.36, 0.40, 0.44, 0.42, 0.30])
    radius = radius * rng.uniform(0.85, 1.12, len(angle))
    x = hilum[0] + thorax.heart_shift + side * rng.uniform(-0.3, 0.6, len(angle))
    y = hilum[1] + rng.uniform(-0.7, 0.9, len(angle)) + 1.7 * np.sin(angle)
    length = rng.uniform(2.2, 3.4, len(angle)) * thorax.width / 13.6
    parts = []
    for _ in range(generations):
        tree, (x, y, angle) = _grow(rng, side, x, y, angle, length, radius)
        parts.append(tree)
        x, y, angle, length, radius = _fork(rng, x, y, angle, length, radius)
    return parts


def _grow(rng, side, x, y, angle, length, radius):
    number = int(np.ceil(length.max() / STEP))
    s = np.linspace(0, 1, number)
    bend = rng.normal(0, 0.34, (len(x), 1))
    wave = rng.normal(0, 0.14, (len(x), 1)) * np.sin(2 * np.pi * s + rng.uniform(0, 6, (len(x), 1)))
    heading = angle[:, None] + bend * s + wave
    step = length[:, None] / number
    across = x[:, None] + side * np.cumsum(np.cos(heading) * step, 1)
    down = y[:, None] + np.cumsum(np.sin(heading) * step, 1)
    r = radius[:, None] * (1 - 0.15 * s)
    # The number of points is the same for all, so short branches carry less volume in each.
    share = np.sqrt(step / STEP)
    ends = across[:, -1], down[:, -1], heading[:, -1]
    return (across.ravel(), down.ravel(), (r * share).ravel()), ends


def _fork(rng, x, y, angle, length, radius):
    spread = rng.uniform(0.25, 0.85, len(x))
    swing = np.where(rng.random(len(x)) < 0.5, 1.0, -1.0)
    x, y = np.tile(x, 2), np.tile(y, 2)
    angle = np.concatenate([angle + swing * spread * 0.5, angle - swing * spread])
    thinner = np.concatenate([np.full(len(spread), 0.82), np.full(len(spread), 0.66)])
    keep = rng.uniform(0.66, 1.0, len(x))
    return x, y, angle, np.tile(length, 2) * keep, np.tile(radius, 2) * thinner


def draw(tree: Tree, grid: Grid) -> np.ndarray:
    """Thickness of blood, cm: each calibre is dropped on the grid and spread to its width."""
    x, y, radius = tree
    total = np.zeros((grid.size, grid.size), np.float32)
    edges = [0, 0.07, 0.11, 0.17, 0.27, 9]
    for low, high in pairwise(edges):
        chosen = (radius >= low) & (radius < high)
        if not chosen.any():
            continue
        r = radius[chosen]
        layer = grid.splat(x[chosen], y[chosen], np.pi * r * r * STEP)
        total += grid.blur(layer, max(0.5 * float(r.mean()), 0.4 * grid.pixel))
    return total
