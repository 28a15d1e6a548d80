"""JPEG streams that end before their picture does, where the decoder says nothing.

libjpeg takes an end-of-image marker at its word: what no data came for stays mid-grey.
"""

import re

import numpy as np

from data_prep.films.codestream import jpeg_frame

_EMPTY = 128  # of 8 bits: what a block without any data becomes
_BLOCK = 8
_LEAST = 4  # blocks; fewer may be so by chance
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_COEFFICIENTS = 64


def ends_early(stream: bytes, decoded: np.ndarray) -> list[str]:
    """A warning where part of a picture is missing.

    Args:
        stream: the JPEG.
        decoded: (H, W) or (H, W, C) uint8 as it was stored, not turned or scaled.

    Returns:
        One line, or none.
    """
    kind, place, samples = jpeg_frame(stream)
    if kind in _PROGRESSIVE and not _whole(stream, place, samples):
        return ["JPEG that ends early: some of its detail is missing"]
    share = _empty_end(decoded)
    if not share:
        return []
    return [f"JPEG that ends early: the last {max(share, 0.01):.0%} of the picture is missing"]


def _empty_end(decoded: np.ndarray) -> float:
    """The share of a picture's blocks, at its end, that got no data."""
    if (decoded[-1, -1] != _EMPTY).any():
        return 0.0
    empty = decoded == _EMPTY if decoded.ndim == 2 else (decoded == _EMPTY).all(-1)
    rows, columns = (-(-side // _BLOCK) for side in empty.shape)
    short = [
        (0, count * _BLOCK - side) for count, side in zip((rows, columns), empty.shape, strict=True)
    ]
    whole = np.pad(empty, short, constant_values=True)
    blocks = whole.reshape(rows, _BLOCK, columns, _BLOCK).all((1, 3)).ravel()
    count = int(np.argmin(blocks[::-1])) if not blocks.all() else len(blocks)
    return count / len(blocks) if count >= _LEAST else 0.0


def _whole(stream: bytes, start: int, samples: int) -> bool:
    """Whether a progressive stream's scans bring each coefficient to its last bit (T.81 G.1.1)."""
    done = np.zeros((samples, _COEFFICIENTS), bool)
    numbers = {stream[start + 10 + 3 * k]: k for k in range(samples)}
    end = stream.find(b"\xff\xd9", start)  # what cameras append behind it is another picture's
    for scan in re.finditer(rb"\xff\xda", stream[start : end if end > 0 else len(stream)]):
        place = start + scan.end() + 2
        count = stream[place]
        chosen = [numbers.get(stream[place + 1 + 2 * k]) for k in range(count)]
        first, last, bits = stream[place + 1 + 2 * count : place + 4 + 2 * count]
        if bits & 0x0F == 0 and None not in chosen:
            done[chosen, first : last + 1] = True
    return bool(done.all())
