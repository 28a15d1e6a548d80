"""The pointing game: does a map's highest point lie in a known box? (Zhang et al., ECCV 2016)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxrkeras.evaluation.boxes.localisation import Case
from cxrkeras.evaluation.compare.resampling import sampling_units
from cxrkeras.evaluation.scores.shares import wilson


@dataclass(frozen=True)
class Pointing:
    """The outcome over some cases.

    Attributes:
        cases: how many were played.
        patients: of how many patients.
        hits: how many maps pointed into a known box.
        low, high: 95% interval of the share of hits, see `wilson`.
        chance: expected share of hits of a point anywhere in the image: the boxes' mean area.
        swapped: share of hits when each map is compared with other patients' boxes of the label,
            which shows what knowing the label's usual place is worth; NaN if there are none.
        level: maps without a highest point, which are misses.
    """

    cases: int
    patients: int
    hits: int
    low: float
    high: float
    chance: float
    swapped: float
    level: int

    @property
    def share(self) -> float:
        """Hits among the cases."""
        return self.hits / self.cases


def play(cases: Sequence[Case], tolerance: float = 0.0) -> Pointing:
    """Play the game.

    Args:
        cases: one per image and label, of one label or of several.
        tolerance: pixels around a box that still count.

    Raises:
        ValueError: without cases.
    """
    if not cases:
        raise ValueError("the pointing game needs at least one case")
    hits = np.array([_inside(case.peak, case.known, tolerance) for case in cases])
    unit = sampling_units([case.image for case in cases], [case.patient for case in cases])
    low, high = wilson(hits, unit)
    return Pointing(
        cases=len(cases),
        patients=int(unit.max()) + 1,
        hits=int(hits.sum()),
        low=low,
        high=high,
        chance=float(np.mean([covered(case.known, case.side, tolerance) for case in cases])),
        swapped=_swapped(cases, unit, tolerance),
        level=sum(case.peak is None for case in cases),
    )


def _inside(peak: tuple[float, float] | None, boxes: np.ndarray, tolerance: float) -> bool:
    if peak is None:
        return False
    x, y, width, height = np.asarray(boxes, np.float64).reshape(-1, 4).T
    right = (peak[0] >= x - tolerance) & (peak[0] <= x + width + tolerance)
    return bool((right & (peak[1] >= y - tolerance) & (peak[1] <= y + height + tolerance)).any())


def covered(boxes: np.ndarray, side: int, tolerance: float = 0.0) -> float:
    """The share of a square image that boxes cover together.

    Args:
        boxes: (B, 4) x, y, width, height in pixels; parts beyond the image don't count.
        side: of the image, pixels.
        tolerance: pixels by which each box is widened on every side.

    Returns:
        The share in [0, 1], exact.
    """
    x, y, width, height = np.asarray(boxes, np.float64).reshape(-1, 4).T
    left, right = (np.clip(v, 0, side) for v in (x - tolerance, x + width + tolerance))
    top, bottom = (np.clip(v, 0, side) for v in (y - tolerance, y + height + tolerance))
    across, down = np.unique([left, right]), np.unique([top, bottom])  # edges cut it into cells
    inside = (
        (left[:, None, None] <= across[:-1])
        & (right[:, None, None] >= across[1:])
        & (top[:, None, None] <= down[:-1, None])
        & (bottom[:, None, None] >= down[1:, None])
    ).any(axis=0)
    return float(np.diff(down) @ inside @ np.diff(across)) / side**2


def _swapped(cases: Sequence[Case], unit: np.ndarray, tolerance: float) -> float:
    """Mean over the cases of the share of other patients' cases of the label that the peak hits."""
    shares = np.full(len(cases), np.nan)
    for label in {case.label for case in cases}:
        rows = np.array([case.label == label for case in cases])
        hits = _crosswise([case for case in cases if case.label == label], tolerance)
        other = unit[rows][:, None] != unit[rows]
        count = other.sum(axis=1)
        shares[rows] = np.where(
            count > 0, (hits & other).sum(axis=1) / np.maximum(count, 1), np.nan
        )
    return float(np.nanmean(shares)) if np.isfinite(shares).any() else float("nan")


def _crosswise(cases: Sequence[Case], tolerance: float) -> np.ndarray:
    """(n, n) bool: the peak of one case in a box of the other, both as parts of their images."""
    nowhere = (np.nan, np.nan)
    peaks = np.array([np.divide(case.peak or nowhere, case.side) for case in cases])
    counts = [len(case.known) for case in cases]
    margin = np.repeat([tolerance / case.side for case in cases], counts)
    boxes = np.concatenate([np.asarray(case.known, np.float64) / case.side for case in cases])
    low, high = boxes[:, :2] - margin[:, None], boxes[:, :2] + boxes[:, 2:] + margin[:, None]
    starts = np.cumsum([0, *counts[:-1]])
    hits = np.empty((len(cases), len(cases)), bool)
    for row, place in enumerate(peaks):
        hits[row] = np.logical_or.reduceat(((place >= low) & (place <= high)).all(axis=1), starts)
    return hits
