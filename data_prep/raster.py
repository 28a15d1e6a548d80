"""PNG, JPEG and TIFF pictures as grey in [0, 1]."""

import io
import warnings as python_warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .dicom import LUMINANCE, MAX_PIXELS
from .display import Grey
from .errors import RejectedFile

DEEP = frozenset(["I;16", "I;16L", "I;16B", "I;16N"])
FLAT = frozenset(["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "YCbCr"])
TIFF_BITS, TIFF_PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0
TOO_LARGE = "picture of more than 100 million pixels"


def read_raster(source: Path | bytes) -> Grey:
    """Read a PNG, JPEG or TIFF as it is meant to be seen, EXIF orientation applied.

    The range of the storage is the range of grey: 0..255 or 0..65535 become 0..1, whatever part
    of it the picture uses. Transparency is dropped; colour becomes its luminance (BT.601).

    Raises:
        RejectedFile: Not such a picture, damaged, animated, of several pages, or in a mode
            whose grey has no defined range (floating point, 32 bits).
    """
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        try:
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            with Image.open(file, formats=("PNG", "JPEG", "TIFF")) as image:
                _check(image)
                return _grey(image)
        except RejectedFile:
            raise
        except UnidentifiedImageError:
            raise RejectedFile("neither DICOM, PNG, JPEG nor TIFF, or damaged") from None
        except Image.DecompressionBombError:
            raise RejectedFile(TOO_LARGE) from None
        except Exception as error:  # Pillow's plugins raise many kinds on damaged data
            raise RejectedFile(f"damaged picture ({type(error).__name__})") from None


def _check(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise RejectedFile(TOO_LARGE)
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
    red, green, blue = (np.asarray(image.convert("RGBA"))[..., c] for c in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return Grey(_unit(red, 255), None, [])
    luminance = red * LUMINANCE[0] + green * LUMINANCE[1] + blue * LUMINANCE[2]
    return Grey(_unit(luminance, 255), None, ["colour image: its luminance is used"])


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
    return (values / np.float64(highest)).astype(np.float32)
