"""One exposure to the values that the machine stores."""

import numpy as np

from data_prep.phantom import anatomy, physics
from data_prep.phantom.cases import Exposure
from data_prep.phantom.geometry import Grid, stream, tube
from data_prep.phantom.hospitals import Hospital


def draw_maps(exposure: Exposure, grid: Grid) -> anatomy.Maps:
    """The thickness maps of the patient with all findings."""
    thorax = exposure.frame()
    maps = anatomy.draw(thorax, grid, stream("anatomy", exposure.seed[:4]))
    for finding in exposure.findings.values():
        finding.apply(maps, thorax, grid)
    return maps


def attenuation(exposure: Exposure, size: int, hospital: Hospital) -> np.ndarray:
    """The noise-free line integral of attenuation in every pixel, (size, size) float32."""
    grid = exposure.grid(size, hospital.field)
    maps = draw_maps(exposure, grid)
    path = physics.attenuation(maps.soft, maps.bone, maps.metal)
    return path.astype(np.float32)


def render(exposure: Exposure, size: int, hospital: Hospital) -> np.ndarray:
    """The stored 12-bit values, (size, size) uint16: bone low, air high."""
    grid = exposure.grid(size, hospital.field)
    detector = hospital.detector if exposure.view == "PA" else hospital.portable
    rng = stream("noise", exposure.seed)
    stored = physics.expose(attenuation(exposure, size, hospital), grid, detector, rng)
    stored = _collimate(stored, exposure.border, 0 if hospital.white else physics.TOP)
    return _mark_side(stored, exposure, hospital)


def boxes(
    exposure: Exposure, size: int, hospital: Hospital
) -> list[tuple[str, int, int, int, int]]:
    """(finding, x, y, width, height) in pixels of every finding that is present."""
    grid, thorax = exposure.grid(size, hospital.field), exposure.frame()
    return [
        (name, *grid.box(box))
        for name, finding in exposure.findings.items()
        for box in finding.boxes(thorax)
    ]


LETTERS = {
    "L": [(-0.5, -0.8), (-0.5, 0.8), (0.5, 0.8)],
    "R": [(-0.5, 0.8), (-0.5, -0.8), (0.2, -0.8), (0.5, -0.4), (0.2, 0.0), (-0.5, 0.0), (0.5, 0.8)],
}


def _mark_side(stored: np.ndarray, exposure: Exposure, hospital: Hospital) -> np.ndarray:
    """The lead letter in an upper corner: it lies on the detector, not on the patient."""
    grid = Grid(len(stored), hospital.field)
    rng = stream("marker", exposure.seed)
    side = 1 if hospital.letter == "L" else -1
    edge = hospital.field / 2
    middle = [side * (edge - rng.uniform(1.8, 3.2)), -edge + rng.uniform(2, 4)]
    line = np.array(LETTERS[hospital.letter]) * rng.uniform(0.8, 1.1) + middle
    lead = np.clip(tube(grid, line, 0.18) / 0.2, 0, 1)
    return np.rint(stored * (1 - 0.93 * lead)).astype(np.uint16)


def _collimate(stored: np.ndarray, border: tuple[float, ...], value: int) -> np.ndarray:
    left, top, right, bottom = (round(share * len(stored)) for share in border)
    rows, columns = stored.shape
    framed = np.full_like(stored, value)
    inside = np.s_[top : rows - bottom, left : columns - right]
    framed[inside] = stored[inside]
    return framed
