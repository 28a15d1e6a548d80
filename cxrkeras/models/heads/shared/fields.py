"""Pooling and enlarging feature maps by any ratio, as products with fixed matrices.

Keras 3.15's adaptive pooling fails on maps smaller than its larger window, and on JAX gives NaN.
"""

from collections.abc import Sequence

import numpy as np

from cxrkeras.models.heads import Maps


def joined_maps(maps: Sequence[Maps]):
    """(N, h, w, sum of C): the last maps of all trunks, averaged over fields of the coarsest."""
    from keras import layers

    last = [list(of_trunk.values())[-1] for of_trunk in maps]
    side = min(tensor.shape[1] for tensor in last)
    found = [tensor if tensor.shape[1] == side else field_means(tensor, side) for tensor in last]
    return found[0] if len(found) == 1 else layers.Concatenate(name="maps")(found)


def field_means(tensor, bins: int):
    """(N, S, S, C) -> (N, bins, bins, C): means over fields that overlap where bins don't divide S.

    Field b goes from floor(b S / bins) to ceil((b + 1) S / bins), as in PyTorch's adaptive pooling.
    """
    return _moved(tensor, mean_matrix(tensor.shape[1], bins))


def enlarged(tensor, side: int):
    """(N, s, s, C) -> (N, S, S, C), bilinear between the middles of the places."""
    return _moved(tensor, bilinear_matrix(tensor.shape[1], side))


def mean_matrix(side: int, bins: int) -> np.ndarray:
    """(bins, side) float32, rows of sum 1."""
    matrix = np.zeros((bins, side), np.float32)
    for number, row in enumerate(matrix):
        first, end = number * side // bins, -(-(number + 1) * side // bins)
        row[first:end] = 1 / (end - first)
    return matrix


def bilinear_matrix(side: int, wanted: int) -> np.ndarray:
    """(wanted, side) float32, rows of sum 1; places beyond the outer middles are as those."""
    matrix = np.zeros((wanted, side), np.float32)
    for number, row in enumerate(matrix):
        place = np.clip((number + 0.5) * side / wanted - 0.5, 0, side - 1)
        low = int(place)
        row[low] += 1 - (place - low)
        row[min(low + 1, side - 1)] += place - low
    return matrix


def _moved(tensor, matrix: np.ndarray):
    from keras import ops

    return ops.einsum("bi,nijc,dj->nbdc", matrix, tensor, matrix)
