"""Perceptual hashes, by which near-duplicates are proposed: copies share nearly all 256 bits."""

import imagehash
import numpy as np
from PIL import Image

HASH_LIMIT = 48  # of 256 bits: copies of 137 real films differ in 38 at most
BYTES = 32
_SIDE = 16


def signature(square: np.ndarray) -> str:
    """The perceptual hash of a prepared image.

    Args:
        square: (S, S) uint8.

    Returns:
        64 hex characters (256 bits): the signs of the low frequencies of its cosine transform.
    """
    return str(imagehash.phash(Image.fromarray(square), hash_size=_SIDE))


def packed(signatures: list[str]) -> np.ndarray:
    """(N, 32) uint8, eight bits each, of N signatures."""
    return np.frombuffer(bytes.fromhex("".join(signatures)), np.uint8).reshape(-1, BYTES)
