"""Boxes from heat maps, and how well they match known boxes: ChestX-ray8's IoU and IoBB.

Wang et al., CVPR 2017: a map scaled to [0, 255] is cut at 60 and at 180, and each isolated region
gets a box. Where the paper is silent, we take it that regions also touch at corners, that the boxes
of both cuts count together, and that a known box is found if any box of its image and label matches
it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from cxrkeras.evaluation.boxes.heat import enlarged, to_bytes_scale

CUTS = (60, 180)
IOU_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
IOBB_THRESHOLDS = (0.1, 0.25, 0.5, 0.75, 0.9)
_TOUCHING = np.ones((3, 3))


@dataclass(frozen=True)
class MapBox:
    """A box drawn around a region of a map.

    Attributes:
        x, y, width, height: in pixels of the image; x and y are the upper left corner.
        cut: the value in [0, 255] that the region lies above.
        highest: the region's highest value in [0, 255].
    """

    x: int
    y: int
    width: int
    height: int
    cut: int
    highest: float

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """(x, y, width, height)."""
        return self.x, self.y, self.width, self.height


def boxes_from_map(
    heat: np.ndarray, side: int, *, cuts: Sequence[int] = CUTS, largest: bool = False
) -> list[MapBox]:
    """The boxes of a heat map's isolated regions.

    Args:
        heat: (h, w) float, any scale; enlarged to the image first.
        side: S of the image, pixels.
        cuts: in [0, 255), each applied separately.
        largest: keep only each cut's region of most pixels.

    Returns:
        The boxes by cut, then in reading order; none for a level map.
    """
    grey = to_bytes_scale(enlarged(heat, side))
    found = []
    for cut in cuts:
        regions, count = ndimage.label(grey > cut, _TOUCHING)
        numbers = range(1, count + 1)
        if largest and count:
            numbers = [1 + int(np.argmax(np.bincount(regions.ravel())[1:]))]
        slices = ndimage.find_objects(regions)
        for number in numbers:
            rows, columns = slices[number - 1]
            highest = float(grey[slices[number - 1]][regions[slices[number - 1]] == number].max())
            box = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
            found.append(MapBox(*box, cut, highest))
    return found


def intersections(found: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Common area of every pair: (F, 4) and (B, 4) boxes (x, y, width, height) -> (F, B)."""
    found, known = _boxes(found), _boxes(known)
    low = np.maximum(found[:, None, :2], known[None, :, :2])
    high = np.minimum(_ends(found)[:, None], _ends(known)[None])
    return np.clip(high - low, 0, None).prod(axis=2)


def iou(found: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair: (F, 4), (B, 4) -> (F, B) in [0, 1]."""
    common = intersections(found, known)
    return common / (_areas(found)[:, None] + _areas(known)[None] - common)


def iobb(found: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Intersection over the area of the found box: (F, 4), (B, 4) -> (F, B) in [0, 1]."""
    return intersections(found, known) / _areas(found)[:, None]


def _boxes(boxes) -> np.ndarray:
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def _ends(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, :2] + boxes[:, 2:]


def _areas(boxes) -> np.ndarray:
    return _boxes(boxes)[:, 2:].prod(axis=1)


CRITERIA = {"IoU": (iou, IOU_THRESHOLDS), "IoBB": (iobb, IOBB_THRESHOLDS)}


@dataclass(frozen=True)
class Case:
    """One label on one image that has known boxes of it.

    Attributes:
        image, label: what it is.
        patient: whose image; "" where unknown.
        known: (B, 4) boxes (x, y, width, height) in pixels of the image, B at least 1.
        found: (F, 4) boxes of the map.
        peak: (x, y) of the map's highest cell; None where the map is level.
        side: of the image, pixels.
    """

    image: str
    label: str
    patient: str
    known: np.ndarray
    found: np.ndarray
    peak: tuple[float, float] | None
    side: int


@dataclass(frozen=True)
class Localisation:
    """How well one label's boxes were found.

    Attributes:
        images: with known boxes of it.
        boxes: known boxes.
        found: boxes drawn from the maps.
        accuracy: {criterion: {T: share of the known boxes that some found box matches above T}}.
        false_positives: {criterion: {T: found boxes per image that match no known box above T}}.
    """

    images: int
    boxes: int
    found: int
    accuracy: dict[str, dict[float, float]] = field(default_factory=dict)
    false_positives: dict[str, dict[float, float]] = field(default_factory=dict)


def localise(cases: Sequence[Case]) -> Localisation:
    """Accuracy and false positives per image (the paper's AFP) of some cases, mostly of one label.

    Raises:
        ValueError: without cases.
    """
    if not cases:
        raise ValueError("localise needs at least one case")
    boxes = sum(len(_boxes(case.known)) for case in cases)
    table = Localisation(len(cases), boxes, sum(len(_boxes(case.found)) for case in cases))
    for name, (measure, thresholds) in CRITERIA.items():
        met = [measure(case.found, case.known) for case in cases]
        best_of_known = np.concatenate([m.max(axis=0, initial=0) for m in met])
        best_of_found = np.concatenate([m.max(axis=1, initial=0) for m in met])
        table.accuracy[name] = {t: float((best_of_known > t).mean()) for t in thresholds}
        table.false_positives[name] = {
            t: float((best_of_found <= t).sum() / len(cases)) for t in thresholds
        }
    return table


def by_label(cases: Sequence[Case], labels: Sequence[str]) -> Mapping[str, list[Case]]:
    """The cases of each label that has any, in the labels' order."""
    parts = {label: [case for case in cases if case.label == label] for label in labels}
    return {label: part for label, part in parts.items() if part}
