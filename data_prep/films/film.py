"""Turns any file into display-ready grey, and grey of any size into the square that models see."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.errors import RejectedFile
from data_prep.files import not_a_file, reason_of
from data_prep.films.admission import DEFAULT, Admission
from data_prep.films.dicom import Header, read_dicom
from data_prep.films.looks import UNLIKE, looks
from data_prep.films.raster import read_raster

_ROWS = 64
_SLENDER = 4  # times as long as wide: no radiograph of a chest is


@dataclass(frozen=True, eq=False)
class Film:
    """A radiograph as a person would see it.

    Attributes:
        pixels: (H, W) float32 in [0, 1], upright: air dark, bone bright.
        header: What a DICOM header told; None for PNG, JPEG and TIFF.
        warnings: Short lines without patient data.
        decoded: (H, W) like `pixels`, before any stretch of the grey: what identifies the picture.
        unlike: What tells it from a frontal chest film (`looks.looks`).
    """

    pixels: np.ndarray
    header: Header | None
    warnings: tuple[str, ...]
    decoded: np.ndarray
    unlike: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """The warnings, and that it is unlike a frontal chest film."""
        return (*self.warnings, UNLIKE) if self.unlike else self.warnings

    @cached_property
    def digest(self) -> str:
        """Of the decoded pixels at 16 bits: equal for equal pictures, however they are prepared."""
        found = hashlib.sha256(repr(self.decoded.shape).encode())
        for start in range(0, len(self.decoded), _ROWS):  # they stay within the processor's cache
            levels = self.decoded[start : start + _ROWS] * np.float32(65535)
            found.update(np.rint(levels, out=levels).astype("<u2", order="C"))
        return found.hexdigest()


def pixel_digest(pixels: np.ndarray) -> str:
    """SHA-256 (hex) of the shape and the values of an array of integers."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def read_film(
    source: Path | bytes,
    *,
    stretch: tuple[float, float] | None = None,
    admission: Admission = DEFAULT,
) -> Film:
    """Read a radiograph from DICOM, PNG, JPEG or TIFF; the content decides, not the name.

    Args:
        source: The file, or what it holds.
        stretch: Two percentiles (low, high) of the picture that become 0 and 1; None keeps the
            grey that the file asks for.
        admission: What is taken for a film.

    Raises:
        RejectedFile: The file can't serve; the message is the reason in one line.
    """
    header = None
    if is_dicom(source, admission):
        grey, header = read_dicom(source, admission)
    else:
        grey = read_raster(source, admission)
    pixels = decoded = grey.pixels
    low, high = pixels.min(), pixels.max()  # one NaN makes both NaN
    if not np.isfinite(high - low):
        raise RejectedFile("grey values that aren't finite numbers")
    if low == high:
        raise RejectedFile("blank: every pixel has the same value")
    if stretch is not None:
        pixels = stretched(pixels, *stretch, padding=grey.padding)
    warnings, (rows, columns) = list(grey.warnings), pixels.shape
    if max(rows, columns) > _SLENDER * min(rows, columns):
        warnings.append(f"{rows} x {columns} pixels: hardly a radiograph")
    return Film(pixels, header, tuple(warnings), decoded, looks(pixels))


def is_dicom(source: Path | bytes, admission: Admission = DEFAULT) -> bool:
    """Whether a file, or what it holds, is to be read as DICOM.

    Raises:
        RejectedFile: it is empty or can't be read.
    """
    start = source[:132] if isinstance(source, bytes) else _start(source, admission)
    if not start:
        raise RejectedFile("empty file")
    named = isinstance(source, Path) and source.suffix.lower() in (".dcm", ".dicom")
    return start[128:] == b"DICM" or named


def _start(path: Path, admission: Admission) -> bytes:
    if kind := not_a_file(path):
        raise RejectedFile(f"{kind}, not a file")
    try:
        admission.check_bytes(path.stat().st_size, "the file")
        with path.open("rb") as file:
            return file.read(132)
    except OSError as error:
        raise RejectedFile(f"file can't be read: {reason_of(error)}") from None


def stretched(
    pixels: np.ndarray, low: float, high: float, *, padding: np.ndarray | None = None
) -> np.ndarray:
    """Spread the grey between two percentiles over [0, 1] and clip the rest.

    Args:
        pixels: (H, W) in [0, 1].
        low: Percentile in [0, 100) that becomes 0.
        high: Percentile above `low`, at most 100, that becomes 1.
        padding: (H, W) bool, pixels to leave out of account and to keep at 0.

    Returns:
        (H, W) float32 in [0, 1]; a picture whose percentiles coincide is given back unchanged.

    Raises:
        ValueError: The percentiles are out of order or out of range.
    """
    if not 0 <= low < high <= 100:
        raise ValueError(f"percentiles must be 0 <= low < high <= 100, not {low} and {high}")
    inside = pixels if padding is None else pixels[~padding]
    bottom, top = np.percentile(inside, [low, high])
    if top <= bottom:
        return pixels
    spread = np.clip((pixels - np.float32(bottom)) / np.float32(top - bottom), 0, 1)
    if padding is not None:
        spread[padding] = 0
    return spread.astype(np.float32)


def inside_square(
    shape: tuple[int, int], size: int, *, pad: bool = False
) -> tuple[int, int, int, int]:
    """Where in its square a picture of `shape` (H, W) lies: top, left, rows, columns, in pixels."""
    if not pad:
        return 0, 0, size, size
    rows, columns = (max(1, round(size * side / max(shape))) for side in shape)
    return (size - rows) // 2, (size - columns) // 2, rows, columns


def to_square(pixels: np.ndarray, size: int, *, pad: bool = False) -> np.ndarray:
    """Resize to a square with a triangle filter as wide as the reduction (antialiased bilinear).

    The same filter as `tf.image.resize(..., "bilinear", antialias=True)`, so that a served model
    can repeat it from the original picture.

    Args:
        pixels: (H, W) in [0, 1].
        size: Side of the result in pixels, at least 1.
        pad: Keep the aspect and fill up with 0 on both sides equally; otherwise the picture is
            stretched to the square.

    Returns:
        (size, size) uint8: grey times 255, rounded once, at the end.
    """
    top, left, rows, columns = inside_square(pixels.shape, size, pad=pad)
    image = Image.fromarray(np.ascontiguousarray(pixels, np.float32))
    grey = np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR))
    square = np.zeros((size, size), np.uint8)
    square[top : top + rows, left : left + columns] = np.rint(np.clip(grey, 0, 1) * 255)
    return square
