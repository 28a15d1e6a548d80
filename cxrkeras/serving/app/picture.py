"""A film as it is shown: window and level, and a label's map over it."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from cxrkeras.evaluation.boxes.heat import to_bytes_scale
from cxrkeras.serving.explain.overlay import paint
from data_prep.films.display import window

_PER_PIXEL = 500  # pixels of the film for one of an outline, which must survive being shown small
_BLACK = 0.01  # of the grey's range: what is darker, from the edges on, shows nothing
_FLAT = 0.1  # of a map's largest value: a map that varies by less is nearly flat
_FLAT_LOGIT = 0.2  # the same where values are logits: odds that differ by 22 %


@dataclass(frozen=True)
class Window:
    """A window over the film's grey.

    Args:
        level: its centre, percent of the range, 0 to 100.
        width: percent of the range, 1 to 200.
        inverted: whether what is bright shows dark.
    """

    level: float = 50.0
    width: float = 100.0
    inverted: bool = False


FULL = Window()


def windowed(film: np.ndarray, chosen: Window) -> np.ndarray:
    """Grey through a window: DICOM's LINEAR_EXACT, (x - c) / w + 0.5, clipped.

    Args:
        film: (H, W) uint16, 0 to 65535.
        chosen: the window.

    Returns:
        (H, W) uint8.
    """
    table = window(np.arange(65536), chosen.level * 655.35, chosen.width * 655.35, "LINEAR_EXACT")
    shades = np.rint(table * 255).astype(np.uint8)
    return (255 - shades if chosen.inverted else shades)[film]


def field_of_view(film: np.ndarray) -> np.ndarray:
    """Where a film shows anything: not the black that hangs together with its edges.

    Args:
        film: (H, W) uint16, air dark.

    Returns:
        (H, W) bool; all of it where nothing would be left.
    """
    regions, _ = ndimage.label(film <= film.min() + _BLACK * 65535)
    edges = (regions[0], regions[-1], regions[:, 0], regions[:, -1])
    outside = np.setdiff1d(np.concatenate(edges), [0])
    inside = ~np.isin(regions, outside)
    return inside if inside.any() else np.ones_like(inside)


def placed(heat: np.ndarray, inside: np.ndarray, *, pad: bool) -> np.ndarray:
    """A map over a film of any aspect, where the model saw it.

    Args:
        heat: (h, w) float; its cells tile the square that the model saw.
        inside: (H, W) bool, the film's field of view.
        pad: whether the film was padded to that square; else it was stretched to it.

    Returns:
        (H, W) float in [0, 1], the map's own lowest to its own highest value; 0 outside the field.
    """
    shape = inside.shape
    rows, columns = (max(shape), max(shape)) if pad else shape
    image = Image.fromarray(np.ascontiguousarray(heat, np.float32))
    large = np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR))
    top, left = (rows - shape[0]) // 2, (columns - shape[1]) // 2
    seen = to_bytes_scale(large)[top : top + shape[0], left : left + shape[1]] / 255
    return seen * inside


def nearly_flat(heat: np.ndarray, unit: str) -> bool:
    """Whether a map varies so little that its colours, which span any range, mean next to nothing.

    Args:
        heat: (h, w) float.
        unit: of its values.
    """
    spread = float(np.ptp(heat))
    least = _FLAT * float(np.abs(heat).max())
    return spread <= (max(least, _FLAT_LOGIT) if unit == "logit" else least)


def outline_width(shape: tuple[int, int]) -> int:
    """Pixels of either half of the line around a map's upper part."""
    return round(max(shape) / _PER_PIXEL)


def picture(
    film: np.ndarray, chosen: Window, share: np.ndarray | None, opacity: float
) -> Image.Image:
    """The film, with a map over it where one is given.

    Args:
        film: (H, W) uint16.
        chosen: the window.
        share: (H, W) float in [0, 1], as `placed` gives it, or None.
        opacity: of the map's highest value, in [0, 1].
    """
    grey = windowed(film, chosen)
    if share is None:
        return Image.fromarray(grey)
    return paint(grey, share, opacity, outline_width(grey.shape))
