"""A film as it is shown: window and level, and a label's map over it."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cxrkeras.evaluation.boxes.heat import to_bytes_scale
from cxrkeras.serving.explain.overlay import paint
from data_prep.films.display import window

_PER_PIXEL = 500  # pixels of the film for one of an outline, which must survive being shown small
_QUALITY = 92  # of the JPEG that the page shows; sheets take the pixels themselves


@dataclass(frozen=True)
class Window:
    """A window over the film's grey.

    Args:
        level: its centre, percent of the range.
        width: percent of the range, at least 1.
    """

    level: float = 50.0
    width: float = 100.0

    def moved(self, level: float | None, width: float | None) -> "Window":
        """The window at typed figures: kept if there is none, and within its bounds."""
        level, width = (
            old if new is None else new for old, new in ((self.level, level), (self.width, width))
        )
        return Window(min(max(level, 0), 100), min(max(width, 1), 200))


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
    return np.rint(table * 255).astype(np.uint8)[film]


def placed(heat: np.ndarray, shape: tuple[int, int], *, pad: bool) -> np.ndarray:
    """A map over a film of any aspect, where the model saw it.

    Args:
        heat: (h, w) float; its cells tile the square that the model saw.
        shape: H and W of the film.
        pad: whether the film was padded to that square; else it was stretched to it.

    Returns:
        (H, W) float in [0, 1], the map's own lowest to its own highest value.
    """
    rows, columns = (max(shape), max(shape)) if pad else shape
    image = Image.fromarray(np.ascontiguousarray(heat, np.float32))
    large = np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR))
    top, left = (rows - shape[0]) // 2, (columns - shape[1]) // 2
    return to_bytes_scale(large)[top : top + shape[0], left : left + shape[1]] / 255


def picture(
    film: np.ndarray, chosen: Window, heat: np.ndarray | None, opacity: float, *, pad: bool
) -> Image.Image:
    """The film, with a map over it where one is given.

    Args:
        film: (H, W) uint16.
        chosen: the window.
        heat: (h, w) float, or None.
        opacity: of the map's highest value, in [0, 1].
        pad: as `placed` takes it.
    """
    grey = windowed(film, chosen)
    if heat is None:
        return Image.fromarray(grey)
    line = round(max(grey.shape) / _PER_PIXEL)
    return paint(grey, placed(heat, grey.shape, pad=pad), opacity, line)


def data_url(image: Image.Image) -> str:
    """The picture as text for an `img`: nothing is left on a disk."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
