"""Each way in which films are compressed, decoded from built-in bytes as `prep` does."""

import binascii
import io
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from cxrkeras.commands.checks import FAULT, OK, Found
from data_prep.errors import RejectedFile
from data_prep.films.film import read_film

SIDE, BITS = 32, 12
LOSSY = 6 / 255  # of the range of greys: what JPEG may differ by at quality 95
CODECS = {
    "uncompressed": ExplicitVRLittleEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG baseline": JPEGBaseline8Bit,
    "JPEG lossless": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}


def codecs() -> Iterator[Found]:
    """One after the other, and PNG."""
    for name, syntax in CODECS.items():
        yield _judged(f"DICOM, {name}", dicom(syntax), LOSSY if syntax == JPEGBaseline8Bit else 0)
    yield _judged("PNG", _png(), 0)


def _judged(name: str, content: bytes, allowed: float) -> Found:
    cure = (
        "pip install --force-reinstall --no-deps pydicom pylibjpeg pylibjpeg-openjpeg python-gdcm "
        "pillow"
    )
    try:
        grey = read_film(content).pixels
    except RejectedFile as error:
        return Found(name, FAULT, str(error), cure)
    shown = picture() / (2**BITS - 1)
    worst = float(np.abs(_spread(grey) - _spread(shown)).max()) if grey.shape == shown.shape else 1
    if worst > allowed + 1e-5:
        return Found(name, FAULT, f"decoded pixels differ by up to {worst:.0%} of the range", cure)
    return Found(name, OK, "decoded, and the pixels are right")


def _spread(grey: np.ndarray) -> np.ndarray:
    """From 0 to 1, whatever window a film without one is shown in."""
    return (grey - grey.min()) / (grey.max() - grey.min())


def picture() -> np.ndarray:
    """(32, 32) uint16 below 4096: slopes, and squares with edges."""
    row, column = np.mgrid[:SIDE, :SIDE]
    squares = (row // 8 + column // 8) % 2
    return (40 * row + 24 * column + 700 * squares).astype(np.uint16)


def dicom(syntax: UID) -> bytes:
    """The picture as a DICOM file of that transfer syntax."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = FileDataset(None, Dataset(), file_meta=meta, preamble=bytes(128))
    dataset.Modality, dataset.BodyPartExamined = "DX", "CHEST"
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = "1.2.3"
    dataset.Rows = dataset.Columns = SIDE
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    bits = 8 if syntax == JPEGBaseline8Bit else BITS
    dataset.BitsAllocated, dataset.BitsStored = (8 if bits == 8 else 16), bits
    dataset.HighBit = bits - 1
    dataset.PixelData = picture().astype("<u2").tobytes()
    if syntax in _streams():
        dataset.PixelData = encapsulate([_streams()[syntax]])
        dataset["PixelData"].VR = "OB"
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


@cache
def _streams() -> dict[str, bytes]:
    """{transfer syntax: the picture compressed so}, kept with the package."""
    text = Path(__file__).with_name("streams.toml").read_text(encoding="utf-8")
    return {uid: binascii.a2b_base64(stream) for uid, stream in tomllib.loads(text).items()}


def _png() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture() * np.uint16(16)).save(file, "PNG")
    return file.getvalue()
