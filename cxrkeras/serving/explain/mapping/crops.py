"""Maps of what a model cut out of an image by itself, laid where it was cut out."""

from collections.abc import Sequence

import keras
import numpy as np

from cxrkeras.models.graph import source
from cxrkeras.models.regions import BOX

FINER = 4
"""Cells of the whole image's grid for each of a map's, along a side."""


def crop_box(maps: Sequence) -> tuple[list, tuple[int, ...]]:
    """By which box a model's last maps were cut out of its image.

    Args:
        maps: symbolic.

    Returns:
        [its tensor (N, 4)], or nothing if there is none; and the places of the maps that come
        after it.
    """
    found = {place: boxes for place, one in enumerate(maps) if (boxes := _before(one))}
    return list({id(box): box for boxes in found.values() for box in boxes}.values()), (*found,)


def _before(tensor) -> list:
    """The boxes on the ways to a tensor."""
    found, seen, ways = [], set(), [tensor]
    while ways:
        if id(one := ways.pop()) in seen:
            continue
        seen.add(id(one))
        operation, inputs = source(one)
        if operation.name == BOX and not isinstance(operation, keras.Model):
            found.append(one)
        ways += inputs
    return found


def laid_in(maps: np.ndarray, boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Lay maps where they were cut out, by area, with zeros around.

    Args:
        maps: (N, K, h, w); their cells tile the boxes.
        boxes: (N, 4) left, top, right, bottom as fractions of the image.
        height: of the grid that tiles the image.
        width: likewise.

    Returns:
        (N, K, height, width) float64. Each map keeps its mean, so that a smaller box has larger
        values: a logit that is a map's mean stays so.
    """
    laid = []
    for one, (left, top, right, bottom) in zip(maps, np.asarray(boxes, np.float64), strict=True):
        rows = _shares(one.shape[-2], height, top, bottom)
        columns = _shares(one.shape[-1], width, left, right)
        laid.append(rows @ one @ columns.T * (height * width / (one.shape[-2] * one.shape[-1])))
    return np.stack(laid)


def _shares(cells: int, count: int, start: float, end: float) -> np.ndarray:
    """(count, cells): the share of each cell, from start to end, that lies in each new one."""
    edges = start + (end - start) * np.arange(cells + 1) / cells
    new = np.arange(count + 1) / count
    low = np.maximum(new[:-1, None], edges[None, :-1])
    high = np.minimum(new[1:, None], edges[None, 1:])
    return np.clip(high - low, 0, None) * cells / (end - start)
