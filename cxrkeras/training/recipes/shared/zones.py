"""In which parts of a film its known boxes lie, as targets.

Ours: halves and thirds of the film stand in for sides and lobes, which boxes don't know.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np

from cxrkeras.data.labels.entries import MASKED
from cxrkeras.evaluation.boxes.known_boxes import KnownBoxes

HALVES, THIRDS = 2, 3
SHARE = 0.25
"""Of a box's area: as much of it in a zone counts, as does its centre."""


def zone_targets(known: KnownBoxes, images: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """Targets of each boxed label in each zone: left to right, then from top to bottom.

    Args:
        known: boxes.
        images: N names or paths.
        labels: K findings; those without a box on any of the images have no column.

    Returns:
        (N, 6 x labels with boxes) float32: 1 where a box lies in the zone, 0 where all lie
        elsewhere, MASKED where an image has no box of the label.
    """
    columns = []
    for label in labels:
        boxes = [known.on(image, label, 1) for image in images]
        if any(one is not None for one in boxes):
            unknown = np.full(HALVES * THIRDS, MASKED)
            columns.append(np.stack([unknown if one is None else zones(one) for one in boxes]))
    if not columns:
        return np.zeros((len(images), 0), np.float32)
    return np.concatenate(columns, axis=1).astype(np.float32)


def zones(boxes: np.ndarray) -> np.ndarray:
    """(B, 4) x, y, width, height as fractions -> (6,) float: 1 where one lies in the zone, or 0."""
    x, y, width, height = boxes.T
    found = []
    for half, third in product(range(HALVES), range(THIRDS)):
        across = _overlap(x, width, half / HALVES, (half + 1) / HALVES)
        down = _overlap(y, height, third / THIRDS, (third + 1) / THIRDS)
        inside = _within(x + width / 2, half, HALVES) & _within(y + height / 2, third, THIRDS)
        found.append((inside | (across * down >= SHARE)).any())
    return np.array(found, np.float64)


def _overlap(start: np.ndarray, size: np.ndarray, low: float, high: float) -> np.ndarray:
    """Which share of each stretch lies between two bounds."""
    return np.clip(np.minimum(start + size, high) - np.maximum(start, low), 0, None) / size


def _within(place: np.ndarray, number: int, parts: int) -> np.ndarray:
    return np.clip(np.floor(place * parts), 0, parts - 1) == number
