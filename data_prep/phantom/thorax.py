"""One patient's frame: the curves from which lungs, bones, heart and findings are drawn (cm)."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy.interpolate import CubicSpline

APEX = -13.4  # height of the lungs' tops
LENGTH = 26.0  # from the tops to the posterior recess
VERTEBRAE = -15.3 + np.cumsum(
    np.linspace(1.9, 2.75, 19)
)  # centres of T1 to L7: enough for any film
HEART = (1.3, 3.6)  # the point about which the heart is star-shaped


@dataclass(frozen=True)
class Thorax:
    """Lengths in cm, angles in radians; the defaults are an adult of middle size.

    Args:
        width: half the widest inner width of the chest.
        depth: half the greatest inner depth.
        fat: subcutaneous fat.
        dome: height of the right diaphragm; larger is a deeper breath.
        drop: how much lower the left dome stands.
        turn: rotation about the long axis; positive turns the sternum to the viewer's right.
        ratio: width of the heart over the inner width of the chest.
        knob: radius of the aortic arch seen end on.
        bend: amplitude of the spine's lateral curve (0: none beyond a natural wobble).
        bend_at: height of its greatest deviation.
        bend_length: half its wavelength.
        bone: mineral density relative to a young adult.
        breast: radius of the breast shadow, 0 without.
        arms: how far the shoulder blades are rolled off the lungs.
        wobble: two small numbers that bend a healthy spine a little.
    """

    width: float = 13.6
    depth: float = 9.0
    fat: float = 1.5
    dome: float = 8.2
    drop: float = 1.2
    turn: float = 0.0
    ratio: float = 0.44
    knob: float = 1.7
    bend: float = 0.0
    bend_at: float = 0.0
    bend_length: float = 11.0
    bone: float = 1.0
    breast: float = 0.0
    arms: float = 2.0
    wobble: tuple[float, float] = field(default=(0.0, 0.0))

    def changed(self, **values: object) -> "Thorax":
        """A copy with other values."""
        return replace(self, **values)

    def level(self, y: np.ndarray | float) -> np.ndarray:
        """Height as a fraction of the lung: 0 at the top, 1 at the bottom of the recess."""
        return np.clip((y - APEX) / LENGTH, 0, 1)

    def half_width(self, y: np.ndarray | float) -> np.ndarray:
        """Distance from the midline to the inner chest wall at height `y`."""
        up = 1 - self.level(y)
        return self.width * np.cbrt(1 - up * up * np.sqrt(np.sqrt(up))) * (1 - 0.06 * up)

    def half_depth(self, y: np.ndarray | float) -> np.ndarray:
        """Half the inner depth in the midline at height `y`."""
        up = 1 - self.level(y)
        return self.depth * (0.30 + 0.70 * np.sqrt(1 - up**3))

    def spine(self, y: np.ndarray | float) -> np.ndarray:
        """Where the spine's middle is (x) at height `y`; rotation moves it against the sternum."""
        natural = self.wobble[0] * np.sin(y / 7.0) + self.wobble[1] * np.cos(y / 11.0)
        phase = np.clip((y - self.bend_at) / self.bend_length, -1.5, 1.5)
        # A thoracic curve with its counter-curves, as in idiopathic scoliosis.
        curve = self.bend * np.cos(np.pi * phase) * np.exp(-0.55 * phase**2)
        return natural + curve - 5.0 * np.sin(self.turn)

    @property
    def heart_shift(self) -> float:
        """How far rotation moves the heart, which lies in front of the axis."""
        return 3.5 * float(np.sin(self.turn))

    def dome_at(self, side: int) -> tuple[float, float]:
        """Place (x, y) of the highest point of the diaphragm; side -1 is the viewer's left."""
        return side * 0.46 * self.width, self.dome + (self.drop if side > 0 else 0.0)

    def dome_line(self, x: np.ndarray | float, side: int) -> np.ndarray:
        """Height of the visible diaphragm at `x`."""
        centre, top = self.dome_at(side)
        away = x - centre
        lateral = side * away > 0
        return top + np.where(lateral, 0.075, 0.05) * away**2

    @property
    def inner_width(self) -> float:
        """The inner thoracic diameter: widest between the chest walls above the recesses."""
        heights = np.linspace(APEX, self.dome + 2.5, 60)
        return 2 * float(self.half_width(heights).max())

    @cached_property
    def heart_outline(self) -> tuple[np.ndarray, np.ndarray]:
        """The heart's border as x, y (360 points, by angle), `ratio` of the chest in width."""
        total = self.ratio * self.inner_width
        right, left = -0.33 * total, 0.67 * total
        low = max(self.dome, 7.0) + 0.8  # under a high dome the heart's floor is hidden
        grown = max(0.0, self.ratio - 0.45)  # a large heart is rounder, its apex lower
        points = np.array(
            [
                (left, low - 1.9 + 2 * grown),
                (0.82 * left, low + 0.9),
                (0.35 * left, low + 1.6),
                (0.72 * right, low + 0.4),
                (right, 0.55 * low - 0.4),
                (0.78 * right, -0.6),
                (0.3 * right, -3.4),
                (0.25 * left, -4.2),
                (0.40 * left + grown, -2.6),
                (0.58 * left + 2 * grown, 0.1),
                (0.85 * left, 0.40 * low + 0.4 - 2 * grown),
            ]
        )
        x, y = _closed(points)
        span = x.max() - x.min()
        return x * (total / span) + self.heart_shift, y

    @cached_property
    def heart_radius(self) -> CubicSpline:
        """Distance from HEART (moved with rotation) to the border, by angle in [-pi, pi]."""
        x, y = self.heart_outline
        centre = HEART[0] + self.heart_shift
        angle = np.arctan2(y - HEART[1], x - centre)
        radius = np.hypot(x - centre, y - HEART[1])
        order = np.argsort(angle)
        angle, radius = angle[order], radius[order]
        angle = np.append(angle, angle[0] + 2 * np.pi)
        return CubicSpline(angle, np.append(radius, radius[0]), bc_type="periodic")

    @property
    def knob_at(self) -> tuple[float, float]:
        """The middle of the aortic arch, seen end on."""
        return 1.4 + 0.5 * (self.knob - 1.7) + 0.3 * self.heart_shift, -6.2


def _closed(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    centre = np.array(HEART)
    away = points - centre
    angle = np.arctan2(away[:, 1], away[:, 0])
    order = np.argsort(angle)
    angle, radius = angle[order], np.hypot(*away[order].T)
    spline = CubicSpline(
        np.append(angle, angle[0] + 2 * np.pi), np.append(radius, radius[0]), bc_type="periodic"
    )
    theta = np.linspace(-np.pi, np.pi, 360, endpoint=False)
    r = np.maximum(spline(theta), 1.0)
    return centre[0] + r * np.cos(theta), centre[1] + r * np.sin(theta)


def in_lung(thorax: Thorax, x: np.ndarray, y: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """True where lung is seen beside heart and mediastinum, `margin` cm from its borders."""
    side = np.where(x < 0, -1, 1)
    centre = HEART[0] + thorax.heart_shift
    border = thorax.heart_radius(np.arctan2(y - HEART[1], x - centre))
    above = np.where(side < 0, thorax.dome_line(x, -1), thorax.dome_line(x, 1))
    return (
        (side * x < thorax.half_width(y - margin) - margin)
        & (np.abs(x) > 3.6 + margin)
        & (y > APEX + 1.2 + margin)
        & (y < above - margin)
        & (np.hypot(x - centre, y - HEART[1]) > border + margin)
    )
