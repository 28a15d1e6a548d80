"""Signatures as skewed as real films': their bits' frequencies and correlations, in any number."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.stats import norm

from data_prep.dataset.copies.signatures import BYTES, packed, signature

_ROWS = 20_000
_SIBLINGS, _COPIES = 0.3, 0.01  # shares of films that are like an earlier one, or a copy of it


def bits_of(paths: list[Path]) -> np.ndarray:
    """(N, 256) of 0 and 1: the signatures of pictures."""
    squares = (np.asarray(Image.open(path).convert("L")) for path in paths)
    return np.unpackbits(packed([signature(square) for square in squares]), axis=1)


def invented(count: int = 400) -> np.ndarray:
    """(N, 256) of 0 and 1, skewed, where no film is at hand."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(count, 4)) @ rng.normal(size=(4, 256)) / 3
    return rng.normal(size=(count, 256)) + common > rng.normal(size=256) / 2


def drawn(bits: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """(N, 32) uint8: signatures drawn anew, with the frequencies and correlations of `bits`.

    Normal variables with the correlation that gives the bits theirs (sin(pi r / 2), exact where a
    bit is as often 0 as 1) are cut where the bits' frequencies say. Films of one patient are like
    each other: some take part of an earlier film's variables, and some are copies, with up to 60
    bits changed.
    """
    rng = np.random.default_rng(seed)
    often = np.clip(bits.mean(0), 0.5 / len(bits), 1 - 0.5 / len(bits))
    centred = bits - bits.mean(0)
    size = np.maximum(np.sqrt((centred**2).sum(0)), 1e-9)
    wanted = np.sin(np.pi / 2 * (centred / size).T @ (centred / size))
    np.fill_diagonal(wanted, 1)
    values, vectors = np.linalg.eigh(wanted)
    mix = vectors * np.sqrt(np.clip(values, 0, None))
    mix = (mix / np.sqrt((mix**2).sum(1, keepdims=True))).T.astype(np.float32)
    cut = norm.ppf(1 - often).astype(np.float32)
    found = np.empty((count, BYTES), np.uint8)
    for start in range(0, count, _ROWS):
        normal = rng.standard_normal((min(_ROWS, count - start), 256), np.float32)
        like = np.flatnonzero(rng.random(len(normal)) < _SIBLINGS)
        share = rng.random((len(like), 1), np.float32)
        earlier = normal[rng.integers(0, len(normal), len(like))]
        normal[like] = share * earlier + np.sqrt(1 - share**2) * normal[like]
        ones = normal @ mix > cut
        for copy in np.flatnonzero(rng.random(len(ones)) < _COPIES):
            ones[copy] = ones[rng.integers(0, len(ones))]
            ones[copy, rng.choice(256, rng.integers(0, 61), replace=False)] ^= True
        found[start : start + _ROWS] = np.packbits(ones, axis=1)
    return found
