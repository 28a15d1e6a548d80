"""PNG, JPEG and TIFF pictures as grey in [0, 1]."""

import io
import warnings as python_warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from data_prep.errors import RejectedFile
from data_prep.films.admission import DEFAULT, Admission
from data_prep.films.dicom import luminance
from data_prep.films.display import Grey
from data_prep.films.jpeg import ends_early

DEEP = frozenset(["I;16", "I;16L", "I;16B", "I;16N"])
FLAT = frozenset(["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "YCbCr"])
TIFF_BITS, TIFF_PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0


def read_raster(source: Path | bytes, admission: Admission = DEFAULT) -> Grey:
    """Read a PNG, JPEG or TIFF as it is meant to be seen, EXIF orientation applied.

    The range of the storage is the range of grey: 0..255 or 0..65535 become 0..1, whatever part
    of it the picture uses. Transparency is dropped; colour becomes its luminance (BT.601).

    Raises:
        RejectedFile: Not such a picture, damaged, animated, of several pages, or in a mode
            whose grey has no defined range (floating point, 32 bits).
    """
    with python_warnings.catch_warnings(), _any_size():
        python_warnings.simplefilter("ignore")
        try:
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            with Image.open(file, formats=("PNG", "JPEG", "TIFF")) as image:
                _check(image, admission)
                early = _jpeg_ends_early(source, image)
                grey = _grey(image)
                return grey._replace(warnings=early + grey.warnings)
        except (RejectedFile, MemoryError):
            raise
        except UnidentifiedImageError:
            raise RejectedFile("neither DICOM, PNG, JPEG nor TIFF, or damaged") from None
        except Exception as error:  # Pillow's plugins raise many kinds on damaged data
            cut = " the file ends early" if "truncated" in str(error) else " it can't be decoded"
            raise RejectedFile(f"damaged picture:{cut}") from None


@contextmanager
def _any_size() -> Iterator[None]:
    """Leave the size to our own rule, which may allow more than Pillow's."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _check(image: Image.Image, admission: Admission) -> None:
    admission.check_size(image.height, image.width)
    if getattr(image, "n_frames", 1) > 1:
        raise RejectedFile("several pages or frames: not a single radiograph")
    if image.mode not in DEEP | FLAT:
        raise RejectedFile(f"pixel mode {image.mode}: grey or RGB of 8 or 16 bits can be read")


def _grey(image: Image.Image) -> Grey:
    if image.mode in DEEP:
        return _deep(image)
    image = ImageOps.exif_transpose(image)
    if image.mode in ("1", "L"):
        return Grey(_unit(np.asarray(image.convert("L")), 255), None, [])
    if image.mode in ("LA", "La"):
        return Grey(_unit(np.asarray(image.getchannel(0)), 255), None, [])
    colour = np.asarray(image.convert("RGBA"))
    red, green, blue = (colour[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return Grey(_unit(red, 255), None, [])
    return Grey(luminance(colour, 255), None, ["colour image: its luminance is used"])


def _deep(image: Image.Image) -> Grey:
    """12 or 16 bits. Pillow, which inverts a white-is-zero TIFF of 8 bits, leaves these alone."""
    tags = getattr(image, "tag_v2", {})
    bits = int(tags.get(TIFF_BITS, (16,))[0])
    negative = tags.get(TIFF_PHOTOMETRIC) == WHITE_IS_ZERO
    values = np.asarray(ImageOps.exif_transpose(image))
    pixels = _unit(values, (1 << bits) - 1)
    warnings = []
    if (used := int(values.max()).bit_length()) < bits - 1:
        warnings.append(f"{bits}-bit picture that uses {used} bits: dark unless stretched")
    return Grey(1 - pixels if negative else pixels, None, warnings)


def _unit(values: np.ndarray, highest: int) -> np.ndarray:
    table = (np.arange(highest + 1) / np.float64(highest)).astype(np.float32)
    return table[values]


def _jpeg_ends_early(source: Path | bytes, image: Image.Image) -> list[str]:
    if image.format != "JPEG":
        return []
    stream = source if isinstance(source, bytes) else source.read_bytes()
    return ends_early(stream, np.asarray(image))
