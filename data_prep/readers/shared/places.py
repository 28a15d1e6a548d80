"""Where findings are: boxes joined to the films that are here, and masks turned into boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate
from math import isfinite
from typing import TYPE_CHECKING

from data_prep.errors import UserError
from data_prep.readers.shared.records import Box, Source

if TYPE_CHECKING:
    import numpy as np

_LARGEST = 1024  # side of a mask whose parts are told apart pixel by pixel
_EIGHT = ((1, 1, 1), (1, 1, 1), (1, 1, 1))  # parts that touch at a corner are one


def with_boxes(
    source: Source, boxes: Iterable[Box], origin: str, *, in_pixels: bool = False
) -> Source:
    """A source with those of the boxes that are on its films.

    Args:
        source: the films.
        boxes: all that the archive has.
        origin: where they come from, e.g. the file's name.
        in_pixels: whether they are in the films' pixels rather than in parts of the sides.
    """
    every = list(boxes)
    here = {record.key for record in source.records}
    kept = tuple(box for box in every if box.key in here)
    note = f"boxes: {len(kept):,} of the {len(every):,} in {origin} are on images that are here"
    return replace(source, boxes=kept, boxes_in_pixels=in_pixels, notes=(*source.notes, note))


def without_boxes(source: Source, why: str) -> Source:
    """A source of an archive whose boxes aren't here, which it says."""
    return replace(source, notes=(*source.notes, f"boxes: none ({why})"))


def box_of_corners(key: str, label: str, corners: Iterable[object], where: str) -> Box:
    """A box in pixels from left, top, right and bottom; it may be empty, or lie beyond the picture.

    Raises:
        UserError: they aren't four such numbers; `where` begins the sentence.
    """
    try:
        left, top, right, bottom = (float(side) for side in corners)
    except (TypeError, ValueError):
        raise UserError(f"{where} isn't a box: four numbers are needed. Correct it.") from None
    if not (left <= right and top <= bottom and isfinite(left + top + right + bottom)):
        raise UserError(
            f"{where}: a box is left, top, right and bottom in pixels, in that order. Received: "
            f"{left:g}, {top:g}, {right:g}, {bottom:g}. Correct it."
        )
    return Box(key, label, left, top, right - left, bottom - top)


def scaled(box: Box, columns: float, rows: float) -> Box:
    """A box in pixels of a picture of that size, cut to it, as parts of its sides."""
    left, right = (min(max(side / columns, 0.0), 1.0) for side in (box.x, box.x + box.width))
    top, bottom = (min(max(side / rows, 0.0), 1.0) for side in (box.y, box.y + box.height))
    return replace(box, x=left, y=top, width=right - left, height=bottom - top)


def run_length_mask(text: str, side: int, where: str) -> np.ndarray:
    """The mask of SIIM-ACR's run lengths.

    The numbers are pairs: how many pixels to go on from the last run's end, and how many to mark.
    They go down the columns, from the left one to the right.

    Args:
        text: e.g. `557374 2 1015 8`; `-1` is an empty mask.
        side: of the picture, pixels.
        where: begins the sentence of an error.

    Returns:
        (side, side) bool.

    Raises:
        UserError: it isn't pairs of whole numbers that stay within the picture.
    """
    import numpy as np

    mask = np.zeros(side * side, bool)
    if text.strip() != "-1":
        words = text.split()
        if not words or len(words) % 2 or not all(map(str.isdecimal, words)):
            raise UserError(f"{where} isn't pairs of whole numbers, nor -1. Correct it.")
        ends = list(accumulate(map(int, words)))
        if ends[-1] > side * side:
            raise UserError(f"{where} marks pixels beyond the {side}x{side} picture. Correct it.")
        for start, end in zip(ends[::2], ends[1::2], strict=True):
            mask[start:end] = True
    return mask.reshape(side, side).T


def boxes_of_mask(mask: np.ndarray, key: str, label: str, *, least: float = 0.0) -> Iterator[Box]:
    """A box around each part of a mask, as parts of the sides.

    Args:
        mask: (H, W) bool. Of a mask with a side over 1,024 pixels, parts count as one where fewer
            than `side // 1024` pixels lie between them; the boxes stay exact.
        key: the record's.
        label: the finding, or the organ.
        least: the share of all marked pixels below which a part is a slip of the pen.
    """
    import numpy as np
    from scipy import ndimage

    if not mask.any():
        return
    rows, columns = mask.shape
    down, across = (_extent(mask.any(axis)) for axis in (1, 0))
    mask = mask[down, across]
    step = max(1, max(rows, columns) // _LARGEST)
    parts, _ = ndimage.label(_reduced(mask, step), _EIGHT)
    total = np.count_nonzero(mask)
    for number, where in enumerate(ndimage.find_objects(parts), start=1):
        part = (parts[where] == number).repeat(step, 0).repeat(step, 1)
        top, left = (axis.start * step for axis in where)
        piece = mask[top : top + part.shape[0], left : left + part.shape[1]]
        piece = piece & part[: piece.shape[0], : piece.shape[1]]
        if np.count_nonzero(piece) < least * total:
            continue
        high, wide = (_extent(piece.any(axis)) for axis in (1, 0))
        yield Box(
            key,
            label,
            (across.start + left + wide.start) / columns,
            (down.start + top + high.start) / rows,
            (wide.stop - wide.start) / columns,
            (high.stop - high.start) / rows,
        )


def _extent(marked: np.ndarray) -> slice:
    """From the first to the last mark of a row."""
    import numpy as np

    places = np.flatnonzero(marked)
    return slice(int(places[0]), int(places[-1]) + 1)


def _reduced(mask: np.ndarray, step: int) -> np.ndarray:
    """A mask in squares of `step` pixels, each marked where any of its pixels is."""
    import numpy as np

    if step == 1:
        return mask
    rows, columns = (-(-side // step) for side in mask.shape)
    padded = np.zeros((rows * step, columns * step), bool)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return padded.reshape(rows, step, columns, step).any((1, 3))
