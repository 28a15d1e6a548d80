"""The part of an image that matters most to a network: found on its feature maps, and enlarged.

Source: Guan et al., Diagnose like a Radiologist: Attention Guided CNN, 2018 (equations 3 and 4).
Where the paper is silent: the map is normed between each image's smallest and largest value; cells
that touch at a corner are connected; of components of one size the first in reading order counts.

All is `keras.ops` on symbolic tensors, so that a model with it opens without this package. Matrix
products stand in for what exports don't know (labelling, sampling).
"""

from collections.abc import Sequence

import numpy as np
from keras import layers, ops

from cxrkeras.models.heads.shared.fields import enlarged
from data_prep.errors import UserError

LARGEST = 1024
"""Cells of the largest map whose components can be found: 1024 px in steps of 32."""
BOX, CROP = "region_box", "region"
"""The layers that give the box and what was cut out by it."""


def cropped(image, maps: Sequence, tau: float):
    """What a network looked at, as an image of its own; no gradient comes back through it.

    Args:
        image: (N, S, S, 1) float32.
        maps: the last feature maps (N, h, w, C) of each trunk.
        tau: the share of the largest heat above which a cell is looked at, in [0, 1).

    Returns:
        (N, S, S, 1) float32 of the layer `CROP`. The layer `BOX` has (N, 4) left, top, right,
        bottom as fractions of the image; all of it where no cell is above the threshold, as on an
        even map.

    Raises:
        UserError: a map has too many cells.
    """
    heat = ops.stop_gradient(heat_of(maps))
    box = layers.Identity(name=BOX, dtype="float32")(box_of(largest_component(heat > tau)))
    return layers.Identity(name=CROP, dtype="float32")(enlarge(image, box))


def heat_of(maps: Sequence):
    """H = max over channels of |f|, normed to [0, 1] in each image; 0 where it is even.

    Args:
        maps: (N, h, w, C) of each trunk. The normed heat of several is brought to the finest grid,
            averaged, and normed again (ours).

    Returns:
        (N, h, w) float32.
    """
    found = [_normed(ops.max(ops.absolute(ops.cast(one, "float32")), axis=-1)) for one in maps]
    if len(found) == 1:
        return found[0]
    side = max(one.shape[1] for one in found)
    even = [
        one if one.shape[1] == side else ops.squeeze(enlarged(one[..., None], side), -1)
        for one in found
    ]
    return _normed(sum(even[1:], even[0]))


def _normed(heat):
    low = ops.min(heat, axis=(1, 2), keepdims=True)
    spread = ops.max(heat, axis=(1, 2), keepdims=True) - low
    return (heat - low) / ops.where(spread > 0, spread, 1.0)


def largest_component(mask):
    """The largest set of connected cells.

    Args:
        mask: (N, h, w) bool.

    Returns:
        (N, h, w) float32, 1 in the component and 0 elsewhere; all 0 for an empty mask.

    Raises:
        UserError: there are more than `LARGEST` cells.
    """
    height, width = mask.shape[1:3]
    cells = height * width
    if cells > LARGEST:
        raise UserError(
            f"A region is found on maps of at most {LARGEST} cells. Received: {height} x {width}. "
            "Lower --image-size, or take a --backbone whose last map is coarser."
        )
    inside = ops.cast(mask, "float32")
    others = ops.reshape(inside, (-1, 1, 1, cells))
    # A saved model holds these constants in its description, so they are made of small ones.
    near = (np.tile(_near(width), height), np.repeat(_near(height), width, axis=1)[:, None])
    touching = ops.expand_dims(inside, -1) * others * near[0] * near[1]
    # Which cell reaches which: squared, ways become twice as long.
    reach = ops.reshape(touching, (-1, cells, cells))
    for _ in range(int(np.ceil(np.log2(max(cells, 2))))):
        reach = ops.minimum(ops.matmul(reach, reach), 1.0)
    # Whole numbers below 2^24, exact in float32; earlier cells have larger ones.
    key = ops.sum(reach, axis=-1) * cells + np.arange(cells, 0, -1, dtype=np.float32) - 1
    first = ops.cast(ops.equal(key, ops.max(key, axis=-1, keepdims=True)), "float32")
    component = ops.matmul(first[:, None, :], reach)
    return ops.reshape(component, (-1, height, width))


def _near(count: int) -> np.ndarray:
    """(count, count) float32: 1 where two places in a line are the same or neighbours."""
    places = np.arange(count)
    return (abs(places[:, None] - places) <= 1).astype(np.float32)


def box_of(component):
    """The box around marked cells, the whole image where there are none.

    Args:
        component: (N, h, w) float32, 1 or 0.

    Returns:
        (N, 4) float32: left, top, right, bottom, in fractions of the image, which the cells tile.
    """
    rows, columns = ops.max(component, axis=2), ops.max(component, axis=1)
    (top, bottom), (left, right) = _extent(rows), _extent(columns)
    return ops.stack([left, top, right, bottom], axis=-1)


def _extent(marked):
    """(N, n) 1 or 0 -> where the marked ones begin and end (N,), as fractions; 0 and 1 if none."""
    count = marked.shape[1]
    places = np.arange(count, dtype=np.float32)
    before = ops.max(marked * (count - places), axis=1)  # cells from the first to the edge
    end = ops.max(marked * (places + 1), axis=1)
    return ops.where(end > 0, 1 - before / count, 0.0), ops.where(end > 0, end / count, 1.0)


def enlarge(image, box):
    """The part of each image in its box, bilinear, in the image's own size.

    Args:
        image: (N, S, S, 1) float32.
        box: (N, 4), as `box_of` gives them.

    Returns:
        (N, S, S, 1) float32; the image itself where the box is all of it.
    """
    side = image.shape[1]
    left, top, right, bottom = (box[:, number, None] for number in range(4))
    rows, columns = _tents(top, bottom, side), _tents(left, right, side)
    picture = ops.squeeze(image, -1)
    part = ops.matmul(ops.matmul(rows, picture), ops.transpose(columns, (0, 2, 1)))
    return ops.expand_dims(part, -1)


def _tents(first, end, side: int):
    """(N, side, side): the weights of the pixels along one axis, rows of sum 1."""
    pixels = np.arange(side, dtype=np.float32)
    places = first * side - 0.5 + (end - first) * (pixels + 0.5)
    places = ops.clip(places, 0, side - 1)
    return ops.relu(1 - ops.absolute(ops.expand_dims(places, -1) - pixels))
