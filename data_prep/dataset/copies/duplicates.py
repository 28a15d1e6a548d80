"""The same picture twice: one SOPInstanceUID, the same decoded pixels, or nearly the same picture.

A near-duplicate is a copy of one film (re-encoded, resized, brighter, slightly cropped), not a
second film of the same patient. Two steps tell them apart: imagehash's 256-bit perceptual hash
proposes pairs, and a registration of the prepared pixels decides. Measured on 1,378 images of
ChestX-ray14 (tests/data_prep/dataset/test_duplicates.py): different films score at most 0.93,
even two of one patient.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import imagehash
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

HASH_LIMIT = 48  # of 256 bits: copies of 137 real films differ in 38 at most
SAME_FILM = 0.96
_HASH_SIDE = 16
_PYRAMID = ((32, 6), (64, 5), (128, 4))  # side in pixels, steps of the registration
_HOPELESS = 0.85  # below this at a coarser side, the finer ones needn't be tried
_BORDER = 0.88  # part of the half side that is compared: what a crop cuts off isn't
_BATCH = 4096  # candidate pairs confirmed at once
_BLOCK = 1 << 17  # pairs compared at once: they stay within the processor's cache


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two records that hold one picture.

    Attributes:
        kept, dropped: their numbers; the first in order is kept.
        kind: `sop`, `pixels` or `near`.
    """

    kept: int
    dropped: int
    kind: str


def signature(square: np.ndarray) -> str:
    """The perceptual hash of a prepared image.

    Args:
        square: (S, S) uint8.

    Returns:
        64 hex characters (256 bits): the signs of the low frequencies of its cosine transform.
    """
    return str(imagehash.phash(Image.fromarray(square), hash_size=_HASH_SIDE))


def candidate_pairs(signatures: list[str], limit: int = HASH_LIMIT) -> Iterator[tuple[int, int]]:
    """All pairs of signatures that differ in at most `limit` bits, in order.

    Every pair is compared, by XOR and bit counts on whole blocks: within a minute for ChestX-ray14
    (6e9 pairs), a few for CheXpert; more images need no more memory. An index by parts of the hash
    would save nothing: at this distance too many pairs nearly share a part.

    Yields:
        (i, j) with i < j.
    """
    words = _words(signatures)
    count = len(signatures)
    start = 0
    while start < count:
        stop = min(count, start + max(1, _BLOCK // (count - start)))
        rows, others = _close(words[:, start:stop], words[:, start:], limit)
        later = others > rows
        yield from zip(
            (rows[later] + start).tolist(), (others[later] + start).tolist(), strict=True
        )
        start = stop


def pairs_between(
    first: list[str], second: list[str], limit: int = HASH_LIMIT
) -> Iterator[tuple[int, int]]:
    """All pairs of a signature of each list that differ in at most `limit` bits, in order.

    Yields:
        (i, j), places in the two lists.
    """
    one, other = _words(first), _words(second)
    step = max(1, _BLOCK // max(1, len(second)))
    for start in range(0, len(first), step):
        rows, others = _close(one[:, start : start + step], other, limit)
        yield from zip((rows + start).tolist(), others.tolist(), strict=True)


def _words(signatures: list[str]) -> np.ndarray:
    """(4, N) uint64."""
    packed = np.frombuffer(bytes.fromhex("".join(signatures)), np.uint64).reshape(-1, 4)
    return np.ascontiguousarray(packed.T)


def _close(first: np.ndarray, second: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Places in (4, n) and (4, m) words of the pairs within `limit` bits."""
    distance = np.zeros((first.shape[1], second.shape[1]), np.uint16)
    for one, other in zip(first, second, strict=True):
        distance += np.bitwise_count(one[:, None] ^ other[None, :])
    return np.nonzero(distance <= limit)


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """How far two prepared images are one film: their correlation after registration.

    Local contrast normalisation takes brightness and gamma away; scale and shift along both axes
    (what cropping and resizing change) are fitted by Gauss-Newton from coarse to fine.

    Args:
        first: (S, S) uint8.
        second: likewise.

    Returns:
        Pearson's correlation over the inner part, -1 to 1; 0 where an image has no detail.
    """
    move = np.zeros(4)
    score = 0.0
    for side, steps in _PYRAMID:
        move, score = _register(_detail(first, side), _detail(second, side), move, steps)
        if score < _HOPELESS:
            break
    return score


def _detail(square: np.ndarray, side: int) -> np.ndarray:
    small = Image.fromarray(square).resize((side, side), Image.Resampling.BOX)
    grey = np.asarray(small, np.float32) / 255
    width = 6 * side / 128
    mean = gaussian_filter(grey, width)
    variance = gaussian_filter((grey - mean) ** 2, width)
    return gaussian_filter((grey - mean) / np.sqrt(variance + 1e-4), 1.0)


def _register(
    first: np.ndarray, second: np.ndarray, move: np.ndarray, steps: int
) -> tuple[np.ndarray, float]:
    """Lucas-Kanade with (scale x, shift x, scale y, shift y), in units of the half side."""
    side = len(first)
    half = (side - 1) / 2
    grid = np.linspace(-1, 1, side)
    y, x = np.meshgrid(grid, grid, indexing="ij")
    inside = (abs(x) < _BORDER) & (abs(y) < _BORDER)
    x, y, target = x[inside], y[inside], first[inside]
    slopes = np.gradient(second)

    def sample(image: np.ndarray) -> np.ndarray:
        at = np.stack([y * (1 + move[2]) + move[3] + 1, x * (1 + move[0]) + move[1] + 1]) * half
        return map_coordinates(image, at, order=1, mode="nearest")

    for _ in range(steps):
        down, right = (sample(slope) * half for slope in slopes)
        jacobian = np.stack([right * x, right, down * y, down], axis=1)
        normal = jacobian.T @ jacobian + 1e-6 * len(target) * np.eye(4)
        step = np.linalg.solve(normal, jacobian.T @ (target - sample(second)))
        move = np.clip(move + step, -0.2, 0.2)
    return move, _correlation(target, sample(second))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(), second - second.mean()
    size = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / size) if size > 1e-6 * len(first) else 0.0


def exact_duplicates(values: Iterable[str | None], kind: str) -> list[Duplicate]:
    """Every later record with the value (UID or digest) of an earlier one; None has no copy."""
    first: dict[str, int] = {}
    found = []
    for number, value in enumerate(values):
        if value is not None and first.setdefault(value, number) != number:
            found.append(Duplicate(first[value], number, kind))
    return found


def near_duplicates(
    numbers: list[int],
    signatures: list[str],
    confirmed: Callable[[list[tuple[int, int]]], list[bool]],
) -> list[Duplicate]:
    """Copies of one film among records without exact duplicates.

    Args:
        numbers: the records, in order.
        signatures: one per record.
        confirmed: says of each pair of records whether its pixels are one film's.

    Returns:
        A record is dropped for the first kept one that it copies; chains don't drag others along.
    """
    pairs = ((numbers[i], numbers[j]) for i, j in candidate_pairs(signatures))
    dropped: set[int] = set()
    found = []
    while batch := list(islice(pairs, _BATCH)):
        batch = [pair for pair in batch if dropped.isdisjoint(pair)]
        for (kept, copy), same in zip(batch, confirmed(batch), strict=True):
            if same and dropped.isdisjoint((kept, copy)):
                dropped.add(copy)
                found.append(Duplicate(kept, copy, "near"))
    return found


def copies_between(
    first: list[str],
    second: list[str],
    confirmed: Callable[[list[tuple[int, int]]], list[bool]],
) -> list[int]:
    """The images of one dataset that copy a film of another.

    Args:
        first: signatures of the other dataset's images.
        second: those of the dataset's.
        confirmed: says of pairs (place in `first`, place in `second`) whether they are one film.

    Returns:
        Places in `second`, in order.
    """
    pairs = pairs_between(first, second)
    found: set[int] = set()
    while batch := list(islice(pairs, _BATCH)):
        batch = [pair for pair in batch if pair[1] not in found]
        found |= {pair[1] for pair, same in zip(batch, confirmed(batch), strict=True) if same}
    return sorted(found)
