"""Findings: each changes the anatomy as the disease does, and knows the box that holds it.

A finding is drawn once for a patient (`sample`) and then looks the same in all of the patient's
images. `shape` changes the frame (heart, spine, aorta), `apply` the maps; either may do nothing.
"""

from dataclasses import dataclass

import numpy as np

from data_prep.phantom.anatomy import Maps
from data_prep.phantom.geometry import Box, Grid, cloud, curve, smooth_step, tube
from data_prep.phantom.thorax import APEX, Thorax, in_lung


@dataclass(frozen=True)
class Finding:
    """What all findings share; see the module."""

    @classmethod
    def sample(cls, rng: np.random.Generator, thorax: Thorax) -> "Finding":
        """Draw its place and severity for a patient."""
        raise NotImplementedError

    def shape(self, thorax: Thorax) -> Thorax:
        """The frame of a patient who has it."""
        return thorax

    def apply(self, maps: Maps, thorax: Thorax, grid: Grid) -> None:
        """Change the maps in place."""

    def boxes(self, thorax: Thorax) -> list[Box]:
        """Where it is, in body coordinates; `thorax` is the frame after `shape`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Cardiomegaly(Finding):
    """An enlarged heart: cardiothoracic `ratio` above 0.5."""

    ratio: float

    @classmethod
    def sample(cls, rng, thorax):
        return cls(float(rng.uniform(0.535, 0.66)))

    def shape(self, thorax):
        return thorax.changed(ratio=self.ratio)

    def boxes(self, thorax):
        x, y = thorax.heart_outline
        return [(x.min(), y.min(), x.max(), y.max())]


@dataclass(frozen=True)
class Scoliosis(Finding):
    """A spine bent to the side by `bend` cm, greatest at height `at`."""

    bend: float
    at: float
    length: float

    @classmethod
    def sample(cls, rng, thorax):
        side = -1.0 if rng.random() < 0.75 else 1.0  # thoracic curves are convex to the right
        size = rng.uniform(2.2, 4.4)
        return cls(float(side * size), float(rng.uniform(-3, 4)), float(rng.uniform(9, 13)))

    def shape(self, thorax):
        return thorax.changed(bend=self.bend, bend_at=self.at, bend_length=self.length)

    def boxes(self, thorax):
        y = np.linspace(-14, 13, 80)
        x = thorax.spine(y)
        return [(x.min() - 2.2, y[0], x.max() + 2.2, y[-1])]


@dataclass(frozen=True)
class AorticCalcification(Finding):
    """A sclerotic, unfolded arch with chalk in its wall, in `pieces` of (from, to) angles."""

    knob: float
    pieces: tuple[tuple[float, float], ...]
    chalk: float

    @classmethod
    def sample(cls, rng, thorax):
        count = int(rng.integers(2, 4))
        cuts = np.sort(rng.uniform(-2.6, 1.5, 2 * count))
        pieces = [(float(a), float(b) + 0.25) for a, b in cuts.reshape(count, 2)]
        pieces.append((-1.1, 0.5))  # the lateral wall of the knob is where it is seen first
        return cls(float(rng.uniform(1.85, 2.2)), tuple(pieces), float(rng.uniform(0.7, 1.3)))

    def shape(self, thorax):
        return thorax.changed(knob=self.knob)

    def apply(self, maps, thorax, grid):
        x, y = thorax.knob_at
        radius = thorax.knob - 0.16
        for start, stop in self.pieces:
            angle = np.linspace(start, stop, 14)
            line = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)
            width = 0.13 + 0.05 * np.sin(3 * angle)
            maps.bone += self.chalk * tube(grid, line, width) / 0.2

    def boxes(self, thorax):
        x, y = thorax.knob_at
        reach = thorax.knob + 0.3
        return [(x - reach, y - reach, x + reach, y + reach)]


@dataclass(frozen=True)
class Effusion(Finding):
    """Fluid in a pleural space, `rise` cm above the dome, with a meniscus at the chest wall."""

    side: int
    rise: float
    climb: float

    @classmethod
    def sample(cls, rng, thorax):
        side = int(rng.choice([-1, 1]))
        return cls(side, float(1.0 + 7.5 * rng.beta(1.2, 1.6)), float(rng.uniform(3.0, 4.6)))

    def _fluid(self, thorax, x, y):
        """1 in the fluid, 0 above it, with a border that thins towards the top."""
        wall = np.maximum(thorax.half_width(y) - self.side * x, 0)
        surface = thorax.dome_at(self.side)[1] - self.rise
        surface = surface + self.climb * (0.55 - np.exp(-wall / 2.2))
        return smooth_step(y - surface, -1.2, 1.3) * smooth_step(self.side * x, 0.0, 1.0)

    def apply(self, maps, thorax, grid):
        fluid = self._fluid(thorax, *grid.body)
        maps.density += (1 - maps.density) * 0.85 * fluid
        maps.blood *= 1 - fluid

    def boxes(self, thorax):
        x, y = _mesh(thorax)
        end = thorax.dome_line(x, self.side) + 2.5
        return [_around(x, y, (self._fluid(thorax, x, y) > 0.4) & (y < end) & (y < 13))]


@dataclass(frozen=True)
class Pneumothorax(Finding):
    """Air between chest wall and lung: `gap` cm wide at the side, more at the apex."""

    side: int
    gap: float
    reach: float

    @classmethod
    def sample(cls, rng, thorax):
        side = int(rng.choice([-1, 1]))
        return cls(side, float(rng.uniform(1.3, 4.5)), float(rng.uniform(0.6, 0.98)))

    def _depth(self, thorax, x, y):
        """Distance outside the visceral pleura, cm; negative within the lung."""
        level = thorax.level(y)
        wall = np.maximum(thorax.half_width(y) - self.side * x, 0)
        fall = np.sqrt(np.clip(1 - level / self.reach, 0, 1))
        apex = 2.4 * np.exp(-((level / 0.16) ** 2))
        edge = self.gap * (fall + apex)
        return np.where((self.side * x > 1.5) & (level < self.reach), edge - wall, -9.0)

    def apply(self, maps, thorax, grid):
        depth = self._depth(thorax, *grid.body)
        free = smooth_step(depth, -0.05, 0.12)
        lung = smooth_step(-depth, -0.05, 0.2) * (self.side * grid.body[0] > 0)
        collapse = 0.035 * self.gap
        maps.density = (maps.density + collapse * lung) * (1 - free) + 0.004 * free
        maps.blood *= 1 - free
        seen = smooth_step(maps.lung, 0.5, 3.0)
        pleura = np.exp(-0.5 * (depth / max(0.07, 0.45 * grid.pixel)) ** 2)
        maps.extra += 1.1 * min(1.0, 0.07 / (0.45 * grid.pixel)) * pleura * seen

    def boxes(self, thorax):
        x, y = _mesh(thorax)
        inside = self.side * x < thorax.half_width(y)
        return [_around(x, y, (self._depth(thorax, x, y) > 0) & inside & (y > APEX))]


@dataclass(frozen=True)
class Nodule(Finding):
    """Round masses, 14 to 35 mm across: (x, y, radius) of each; `solid` 1 is soft tissue.

    Granulomas hold chalk and are denser than soft tissue of their size.
    """

    spots: tuple[tuple[float, float, float], ...]
    solid: float

    @classmethod
    def sample(cls, rng, thorax):
        count = 1 if rng.random() < 0.45 else int(rng.integers(2, 6))
        radii = rng.uniform(0.7, 1.75, count)
        radii[0] = rng.uniform(1.0, 1.75)
        spots = tuple((*_place(rng, thorax, 0.9), float(r)) for r in radii)
        return cls(spots, float(rng.uniform(1.2, 2.2)))

    def apply(self, maps, thorax, grid):
        x, y = grid.body
        for cx, cy, r in self.spots:
            angle = np.arctan2(y - cy, x - cx)
            uneven = r * (0.96 + 0.04 * np.cos(3 * angle + 5 * cx))
            share = np.clip(1 - ((x - cx) ** 2 + (y - cy) ** 2) / uneven**2, 0, 1)
            maps.extra += self.solid * (1 - maps.density) * 2 * r * np.sqrt(share)

    def boxes(self, thorax):
        return [(x - r, y - r, x + r, y + r) for x, y, r in self.spots]


@dataclass(frozen=True)
class Infiltration(Finding):
    """Patches in which alveoli fill: (x, y, half-width, half-height, strength) of each."""

    patches: tuple[tuple[float, float, float, float, float], ...]
    seed: int

    @classmethod
    def sample(cls, rng, thorax):
        patches = []
        for _ in range(int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))):
            x, y = _place(rng, thorax, 0.8)
            wide, high = rng.uniform(2.3, 4.6, 2)
            patches.append((x, y, float(wide), float(high), float(rng.uniform(0.5, 0.85))))
        return cls(tuple(patches), int(rng.integers(2**31)))

    def apply(self, maps, thorax, grid):
        x, y = grid.body
        texture = cloud(np.random.default_rng(self.seed), grid, (9, 18, 36, 60))
        for cx, cy, wide, high, strength in self.patches:
            far = np.hypot((x - cx) / wide, (y - cy) / high)
            filled = smooth_step(1.0 - far + 0.16 * texture, -0.25, 1.05) * (far < 1.7)
            same_side = smooth_step(np.sign(cx) * x, 1.0, 2.5)
            maps.density += (1 - maps.density) * strength * filled * same_side
            maps.blood *= 1 - 0.7 * filled

    def boxes(self, thorax):
        return [(x - w, y - h, x + w, y + h) for x, y, w, h, _ in self.patches]


@dataclass(frozen=True)
class Pacemaker(Finding):
    """A generator below the clavicle and one or two leads through the great veins to the heart."""

    side: int
    place: tuple[float, float]
    leads: int

    @classmethod
    def sample(cls, rng, thorax):
        side = 1 if rng.random() < 0.8 else -1
        place = (float(rng.uniform(7.6, 9.6)), float(rng.uniform(-7.6, -5.6)))
        return cls(side, place, int(rng.integers(1, 3)))

    def _lines(self, thorax):
        x, y = self.side * self.place[0], self.place[1]
        shift, left = thorax.heart_shift, thorax.heart_outline[0].max()
        vein = [(x - 0.5, y - 2.0), (x * 0.95, y - 3.6), (self.side * 5.0, -9.7)]
        vein += [(self.side * 1.5, -8.0), (-1.9 + shift, -5.6), (-2.3 + shift, -1.5)]
        low = thorax.dome - 1.0
        ends = [
            [(-1.9 + shift, 2.0), (0.5, low - 0.8), (0.68 * left, low)],
            [(-1.5 + shift, 2.6), (-0.4, 0.9)],
        ]
        return [curve(vein + end, 48) for end in ends[: self.leads]]

    def apply(self, maps, thorax, grid):
        x = np.abs(grid.body[0] - self.side * self.place[0]) / 2.3
        y = np.abs(grid.body[1] - self.place[1]) / 2.0
        can = smooth_step(1 - (x**3.2 + y**3.2), 0.0, 0.12)
        inner = smooth_step(1 - ((x / 0.8) ** 4 + ((y + 0.1) / 0.7) ** 4), 0, 0.2)
        maps.metal += 0.6 * can + 0.7 * inner
        for line in self._lines(thorax):
            maps.metal += 1.3 * tube(grid, line, 0.10)
            maps.metal += 1.5 * tube(grid, line[-3:], 0.16)

    def boxes(self, thorax):
        x, y = self.side * self.place[0], self.place[1]
        line = np.concatenate(self._lines(thorax))
        low, high = line.min(0), line.max(0)
        return [
            (min(x - 2.3, low[0]), min(y - 2, low[1]), max(x + 2.3, high[0]), max(y + 2, high[1]))
        ]


# In the order in which they are applied: fluid fills the base of a pneumothorax too.
FINDINGS: dict[str, type[Finding]] = {
    "Cardiomegaly": Cardiomegaly,
    "Pneumothorax": Pneumothorax,
    "Effusion": Effusion,
    "Nodule": Nodule,
    "Infiltration": Infiltration,
    "Aortic calcification": AorticCalcification,
    "Scoliosis": Scoliosis,
    "Pacemaker": Pacemaker,
}


def _mesh(thorax: Thorax) -> tuple[np.ndarray, np.ndarray]:
    wide = thorax.width
    return np.meshgrid(np.linspace(-wide, wide, 160), np.linspace(APEX, 14, 160))


def _around(x: np.ndarray, y: np.ndarray, mask: np.ndarray) -> Box:
    return float(x[mask].min()), float(y[mask].min()), float(x[mask].max()), float(y[mask].max())


def _place(rng: np.random.Generator, thorax: Thorax, margin: float) -> tuple[float, float]:
    """A point in the visible lung."""
    for _ in range(200):
        x, y = rng.uniform(-thorax.width, thorax.width), rng.uniform(-11.0, thorax.dome)
        if in_lung(thorax, np.array(x), np.array(y), margin):
            return float(x), float(y)
    return -7.0, 0.0
