"""Bones: ribs, clavicles, scapulae and humeri as hollow shells in three dimensions, and the spine.

A shell's points are projected with their volume, so the bright margins of a rib arise as on a film:
where the ray runs along the cortex.
"""

import numpy as np

from data_prep.phantom.geometry import Grid, curve, smooth_step, tube
from data_prep.phantom.thorax import VERTEBRAE, Thorax

Points = tuple[np.ndarray, np.ndarray, np.ndarray]  # x, y (cm), volume (cm³), each of any shape

# Of ribs 1 to 11: angle at which the cartilage begins, fall from back to front, half the height.
FRONT_END = np.pi * np.array([0.93, 0.93, 0.86, 0.86, 0.82, 0.82, 0.82, 0.72, 0.66, 0.6, 0.5])
FALL = np.array([5.6, 7.6, 9.4, 10.6, 11.4, 11.8, 11.8, 11.4, 10.4, 9.0, 7.4])
HEIGHT = np.array([0.45, 0.5, 0.6, 0.65, 0.68, 0.7, 0.7, 0.68, 0.62, 0.55, 0.45])


def bones(thorax: Thorax, grid: Grid) -> np.ndarray:
    """Thickness of compact bone, cm."""
    shells = [ribs(thorax, grid)]
    for side in (-1, 1):
        shells += [_shell(grid, *part) for part in _girdle(thorax, side)]
    x, y, volume = (np.concatenate([s[k].ravel() for s in shells]) for k in range(3))
    shell = grid.blur(grid.splat(x, y, volume), max(0.035, 0.55 * grid.pixel))
    plates = sum(_scapula(thorax, grid, side) + _head(thorax, grid, side) for side in (-1, 1))
    return np.float32(thorax.bone) * (shell + plates + spine(thorax, grid))


def ribs(thorax: Thorax, grid: Grid) -> Points:
    """Ribs 1 to 11 of both sides, from the vertebra round the chest wall to the cartilage."""
    number = int(np.clip(30 / (1.1 * grid.pixel), 60, 500))
    phi = 0.22 + (FRONT_END[:, None] - 0.22) * np.linspace(0, 1, number)
    head, fall = VERTEBRAE[:11, None] - 0.6, FALL[:, None]
    turn = (1 - np.cos(phi)) / 2
    # Nearly level at its head, the rib then falls towards the front.
    y = head + fall * (turn - 0.06 * np.sin(phi) ** 2 * (phi < np.pi / 2) * np.cos(phi))
    lateral = head + fall * 0.5
    wide = thorax.half_width(lateral + 0.8) + 0.25
    deep = thorax.half_depth(lateral + 0.8)
    across, z = wide * np.sin(phi) ** 0.92, -deep * np.cos(phi)
    parts = []
    for side in (-1, 1):
        behind = np.clip(np.cos(phi), 0, 1) ** 0.5
        x = side * across * np.cos(thorax.turn) + z * np.sin(thorax.turn)
        x = x + thorax.spine(head) * behind + 5.0 * np.sin(thorax.turn) * behind
        line = np.stack([x, y, z], -1)
        outward = np.stack([side * np.sin(phi), np.zeros_like(phi), -np.cos(phi)], -1)
        cortex = 0.23 * (1 - 0.45 * smooth_step(phi / FRONT_END[:, None], 0.62, 0.95))
        cortex = cortex * (1 - 0.7 * np.sin(phi) ** 6) * smooth_step(phi, 0.2, 0.4)
        parts.append(_surface(grid, line, outward, HEIGHT[:, None], 0.33, cortex))
    return tuple(np.concatenate([p[k].ravel() for p in parts]) for k in range(3))


def _surface(grid, line, outward, height, thick, cortex) -> Points:
    """Points of an oval shell round `line` (..., n, 3), `outward` being its flat side's normal."""
    step = np.gradient(line, axis=-2)
    length = np.linalg.norm(step, axis=-1)
    up = np.cross(step / length[..., None], outward)
    up /= np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 1e-6)
    girth = 2 * np.pi * max(float(np.max(height)), thick)
    around = int(np.clip(girth / (0.9 * grid.pixel), 12, 200))
    psi = (np.arange(around) + 0.5) * 2 * np.pi / around
    cos, sin = np.cos(psi), np.sin(psi)
    height = np.broadcast_to(height, length.shape)[..., None]
    x, y = (
        line[..., k, None] + height * cos * up[..., k, None] + thick * sin * outward[..., k, None]
        for k in (0, 1)
    )
    arc = np.hypot(height * sin, thick * cos) * (2 * np.pi / around)
    return x, y, arc * (length * cortex)[..., None]


def _shell(grid, line, radius, cortex) -> Points:
    """A round hollow bone along the plane line (n, 2)."""
    length = np.linalg.norm(np.diff(line, axis=0), axis=1).sum()
    number = int(np.clip(1.5 * length / grid.pixel, 30, 600))
    where = np.linspace(0, 1, len(line))
    fine = np.linspace(0, 1, number)
    x, y, r = (np.interp(fine, where, np.broadcast_to(v, len(line))) for v in (*line.T, radius))
    r = r * np.sqrt(1.02 - (2 * fine - 1) ** 20)  # rounded ends
    path = np.stack([x, y, np.zeros(number)], -1)
    outward = np.broadcast_to([0.0, 0.0, 1.0], path.shape)
    return _surface(grid, path, outward, r, float(r.mean()), np.full(number, cortex))


def _girdle(thorax: Thorax, side: int) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Lines, radii and cortices of clavicle, scapula's margins and humerus."""
    out, scale = thorax.arms, thorax.width / 13.6
    flip = np.array([side * scale, 1.0])
    lift = 0.35 * (2.0 - out)
    sternal = 1.5 + side * 4.0 * np.sin(thorax.turn)
    clavicle = curve(
        [(sternal, -9.2), (5.2, -10.1 - lift), (9.5, -11.6 - lift), (14.6, -11.9 - lift)]
    )
    blade = 8.2 + out
    lateral = curve([(14.9, -8.2), (13.9, -5.0), (blade + 3.1, -1.0), (blade + 2.2, 3.0)])
    medial = curve([(blade + 0.4, -10.4), (blade + 0.3, -5.5), (blade + 2.2, 3.0)])
    ridge = curve([(blade + 0.5, -8.6), (13.5, -10.6), (16.7, -12.6), (18.2, -11.4)])
    arm = curve([(17.3, -8.6), (18.0, -4.0), (19.2, 2.0), (20.6, 12.0), (22.2, 24.0)])
    swell = np.linspace(0, 1, 40)
    return [
        (clavicle * flip, 0.50 + 0.28 * (2 * swell - 1) ** 2, 0.42),
        (lateral * flip, 0.42 - 0.30 * swell**1.5, 0.24),
        (medial * flip, np.full(40, 0.17), 0.18),
        (ridge * flip, 0.25 + 0.4 * swell, 0.24),
        (arm * flip, 1.15 + 1.0 * np.exp(-((swell / 0.09) ** 2)), 0.42),
        (curve([(14.6, -9.9), (14.7, -7.7)]) * flip, np.full(40, 0.45), 0.3),
        (curve([(13.6, -10.6), (14.6, -11.0), (15.2, -9.8)]) * flip, np.full(40, 0.4), 0.25),
    ]


def _head(thorax: Thorax, grid: Grid, side: int) -> np.ndarray:
    """The spongy ball of the humerus."""
    centre = np.array([[16.9, -9.0], [17.1, -8.6]]) * [side * thorax.width / 13.6, 1.0]
    return 0.18 * tube(grid, centre, 2.2)


def _scapula(thorax: Thorax, grid: Grid, side: int) -> np.ndarray:
    """The thin plate of a shoulder blade."""
    blade, scale = 8.2 + thorax.arms, thorax.width / 13.6
    corners = np.array(
        [(blade + 0.4, -10.4), (14.7, -9.6), (14.9, -7.6), (blade + 2.4, 3.2), (blade + 1.9, 3.0)]
    )
    x, y = grid.body[0] * np.float32(side / scale), grid.body[1]
    inside = np.full_like(x, 99.0)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        normal = np.array([-(by - ay), bx - ax]) / np.hypot(bx - ax, by - ay)
        np.minimum(inside, (x - ax) * normal[0] + (y - ay) * normal[1], out=inside)
    return 0.36 * smooth_step(inside, -0.05, 0.3)


def spine(thorax: Thorax, grid: Grid) -> np.ndarray:
    """Vertebral bodies with end plates, pedicles, spinous and transverse processes, cm of bone."""
    x, y = grid.body
    rows = np.linspace(-24, 26, 501)
    middle = np.interp(y, rows, thorax.spine(rows)).astype(np.float32)
    slope = np.gradient(thorax.spine(rows), rows)
    across = x - middle
    along = y + across * np.interp(y, rows, slope).astype(np.float32)
    above = np.concatenate([VERTEBRAE[0] - 1.7 * np.arange(7, 0, -1), VERTEBRAE])
    place = np.interp(along, above, np.arange(len(above))).astype(np.float32)
    u = 2 * (place - np.rint(place))  # -1 to 1 from one disc to the next
    half = np.interp(y, [-20, -13, 0, 12, 20], [1.25, 1.45, 1.55, 1.95, 2.3]).astype(np.float32)
    v = np.abs(across) / half
    waist = v * (1 + 0.10 * (1 - u * u))
    body = np.sqrt(np.clip(1 - waist**2, 0, 1))
    body = body * (0.5 + 0.5 * smooth_step(-np.abs(u), -0.98, -0.72))
    plates = np.exp(-(((np.abs(u) - 0.80) / 0.07) ** 2)) * smooth_step(-waist, -1.0, -0.7)
    rim = np.exp(-(((waist - 0.93) / 0.06) ** 2)) * (np.abs(u) < 0.8)
    pedicle = _ring(v - 0.62, u + 0.28, 0.20, 0.26)
    spinous = _ring(across / 0.42, (u - 0.55) / 0.75, 0.8, 0.75)
    wing = np.exp(-(((u + 0.25) / 0.28) ** 2)) * smooth_step(-v, -1.75, -1.45)
    total = 0.62 * body + 0.32 * plates + 0.12 * rim + 0.45 * pedicle + 0.35 * spinous + 0.3 * wing
    return np.where(v < 2.2, total, 0).astype(np.float32)


def _ring(x: np.ndarray, y: np.ndarray, width: float, height: float) -> np.ndarray:
    distance = np.hypot(x / width, y / height)
    return np.exp(-(((distance - 0.85) / 0.3) ** 2)) + 0.4 * (distance < 0.85)
