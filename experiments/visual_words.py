"""How near the descriptors of `--recipe phow` are to OpenCV's SIFT, and what both take.

Run: python experiments/visual_words.py FILM.png... (needs opencv-python-headless, as the tests do).
Each film is reduced to 256 px. For each size of bins, at the same points and smoothing: the cosine
of descriptors that aren't flat, median and first percentile, and processor seconds for a film.
"""

import sys
import time

import cv2
import numpy as np
from PIL import Image

from cxrkeras.models.words.sift import Grid, dense_sift

SIDE, STEP, BINS = 256, 4, (4, 6, 8, 10)


def main(paths: list[str]) -> None:
    """Print a line for each size."""
    cv2.setNumThreads(1)
    films = [_film(path) for path in paths]
    for size in BINS:
        found = [_compared(film, size) for film in films]
        cosines = np.concatenate([cosine for cosine, _, _ in found])
        ours, theirs = np.median([times for _, *times in found], axis=0)
        print(
            f"bins of {size} px: cosine {np.median(cosines):.3f}, first percentile "
            f"{np.quantile(cosines, 0.01):.3f}; {ours:.3f} s a film, OpenCV {theirs:.3f} s"
        )


def _film(path: str) -> np.ndarray:
    with Image.open(path) as film:
        return np.asarray(film.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def _compared(film: np.ndarray, size: int) -> tuple[np.ndarray, float, float]:
    """The cosines, and both times."""
    start = time.process_time()
    (found, middles), *_ = dense_sift(film, Grid(STEP, (size,)))
    ours = time.process_time() - start
    # OpenCV's bins are 3 times half a keypoint's size; its angles turn the other way.
    points = [cv2.KeyPoint(float(x), float(y), size * 2 / 3, 0) for y, x in middles]
    peer = cv2.SIFT_create(sigma=size / 6)
    start = time.process_time()
    _, theirs = peer.compute(film, points)
    took = time.process_time() - start
    theirs = theirs.reshape(-1, 16, 8)[..., -np.arange(8) % 8].reshape(found.shape)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(theirs, axis=1)
    return ((found * theirs).sum(axis=1) / np.maximum(lengths, 1))[lengths > 0], ours, took


if __name__ == "__main__":
    main(sys.argv[1:])
