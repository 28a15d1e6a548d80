"""Films and tables for the examples of readers, which their shared tests read."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path


def write_film(path: Path, seed: int) -> None:
    """Write 64 x 64 pixels of smooth noise as PNG or JPEG; two seeds never look alike."""
    import numpy as np
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    small = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12), np.uint8))
    small.resize((64, 64), Image.Resampling.BICUBIC).save(path)


def write_table(path: Path, rows: Iterable[Sequence[object]]) -> Path:
    """Write rows, the header first, as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path
