"""A prepared image, read back: whether it is whole, and what identifies it."""

from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.dataset.copies.signatures import signature
from data_prep.errors import RejectedFile
from data_prep.films.film import pixel_digest


def read_prepared(path: Path) -> np.ndarray:
    """Read a prepared image; its checksums must hold.

    Returns:
        (S, S) uint8.

    Raises:
        RejectedFile: it is missing, damaged, or no 8-bit grey PNG.
    """
    try:
        with Image.open(path, formats=("PNG",)) as image:
            image.verify()  # all chunks to the last; decoding alone would not notice a lost end
        with Image.open(path) as image:
            if image.mode == "L":
                return np.asarray(image)
    except Exception:  # whatever Pillow says of damaged files: there is no common class
        pass
    raise RejectedFile("missing" if not path.is_file() else "damaged")


def identify(path: Path, *, padded: bool = False) -> tuple[str, str]:
    """The digest and the signature of a prepared image, as `manifest.csv` has them.

    The signature is a near one for images that were padded or whose grey was stretched: the film
    itself isn't at hand.

    Raises:
        RejectedFile: as `read_prepared`.
    """
    square = read_prepared(path)
    return pixel_digest(square), signature(without_padding(square) if padded else square)


def without_padding(square: np.ndarray) -> np.ndarray:
    """What of a padded square is picture: equal borders of zeros, along one axis, are cut off."""
    margins = []
    for axis in (0, 1):
        filled = np.flatnonzero(square.any(axis=1 - axis))
        margins.append(min(filled[0], len(square) - 1 - filled[-1]) if len(filled) else 0)
    axis = int(np.argmax(margins))
    kept = slice(margins[axis], len(square) - margins[axis])
    return square[kept] if axis == 0 else square[:, kept]
