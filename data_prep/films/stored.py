"""Stored values of a DICOM image, before they are rendered: overlays cleared, padding found."""

import numpy as np
from pydicom.dataset import Dataset
from scipy import ndimage


def without_overlay(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """(H, W) integers, the bits above BitsStored cleared of an (old-style) overlay."""
    groups = (dataset.get((group, 0x0102)) for group in range(0x6000, 0x6020, 2))
    if not any(element is not None and int(element.value or 0) > 0 for element in groups):
        return stored
    bits = int(dataset.BitsStored)
    kept = stored.astype(np.int32) & ((1 << bits) - 1)
    sign = 1 << (bits - 1) if stored.dtype.kind == "i" else 0
    return ((kept ^ sign) - sign).astype(stored.dtype)


def padding_of(stored: np.ndarray, dataset: Dataset) -> np.ndarray | None:
    """(H, W) bool: pixels that pad the native image to a rectangle (C.7.5.1.1.2); None if none do.

    Only what reaches the picture's edge counts: inside it the value may be a grey like others.
    """
    value = dataset.get("PixelPaddingValue")
    if value is None or value == "":
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = [_as_stored(int(v), stored.dtype) for v in (value, value if limit is None else limit)]
    regions, _ = ndimage.label((stored >= min(ends)) & (stored <= max(ends)))
    edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    padding = np.isin(regions, np.unique(edge[edge > 0]))
    return padding if padding.any() else None


def _as_stored(value: int, dtype: np.dtype) -> int:
    """The padding value may stand in the header with the wrong sign (US for SS or back)."""
    if dtype.kind == "i":
        return value - (1 << 16) if value > 0x7FFF else value
    return value & 0xFFFF
