"""DICOM radiographs: opened, checked, decoded, rendered. Nothing of a header's text leaves here
but what `Header` holds; reasons and warnings are our own words.
"""

import io
import logging
import re
import warnings as python_warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.pixels import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from data_prep.errors import RejectedFile
from data_prep.films.admission import DEFAULT, Admission
from data_prep.films.codestream import stream_size
from data_prep.films.display import Grey, render, upright
from data_prep.films.header import BODY_PARTS, Header, body_part, read_header, text_of
from data_prep.films.jpeg import ends_early

LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow's "L"
_PIECE = 1 << 20  # bytes
_ROWS = 64

# One decoder each where there is a choice: on damaged data GDCM may abort the whole process and
# pylibjpeg-rle panics past `except Exception`. For JPEG Lossless GDCM alone is left.
DECODERS = {
    RLELossless: "pydicom",
    JPEGBaseline8Bit: "pillow",
    JPEGExtended12Bit: "pillow",
    **dict.fromkeys(JPEGLSTransferSyntaxes, "gdcm"),  # pyjpegls can hang on damage
    **dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"),
}
WITH_SIZE = frozenset(
    [
        JPEGBaseline8Bit,
        JPEGExtended12Bit,
        JPEGLossless,
        JPEGLosslessSV1,
        *JPEGLSTransferSyntaxes,
        *JPEG2000TransferSyntaxes,
    ]
)

RADIOGRAPHS = frozenset(["CR", "DX", "DR", "RG", "XR", ""])  # DR, XR: not DICOM's, but written
NOT_RADIOGRAPHS = frozenset(  # those that a refusal may name; others may be free text
    [
        *("CT", "MR", "PT", "NM", "US", "MG", "XA", "RF", "PX", "IO", "BMD", "OP", "OPT", "ES"),
        *("GM", "SM", "XC", "ECG", "SR", "PR", "KO", "SEG", "DOC", "OT", "SC"),
    ]
)
CHEST = re.compile(r"CHEST|THORA|TORAX|TORAC|LUNG|PULM|HEART|CARDIA|MEDIASTIN")
MAYBE_CHEST = re.compile(r"^(RIB|STERNUM|WHOLEBODY|TRUNK)")
NOT_CHEST = re.compile(
    r"EXTREMIT(?:Y|IES)|SKULL|HEAD|BRAIN|NECK|JAW|MAXILLA|MANDIBLE|FACE|SINUS|ORBIT|EYE|NOSE"
    r"|TEETH|TOOTH|SPINE|SACRUM|COCCYX|CLAVICLE|SCAPULA|SHOULDER|ARM$|HUMERUS|ELBOW|WRIST|HAND|FINGER"
    r"|THUMB|RADIUS|ULNA|PELVIS|HIP$|FEMUR|THIGH|KNEE|PATELLA|LEG$|TIBIA|FIBULA|ANKLE|CALCANEUS|FOOT"
    r"|TOE|ABDOMEN|KIDNEY|BLADDER|COLON|UTERUS|PROSTATE|BREAST"
)


def read_dicom(source: Path | bytes, admission: Admission = DEFAULT) -> tuple[Grey, Header]:
    """Read and render one DICOM radiograph.

    Args:
        source: A DICOM file (Part 10, with the `DICM` marker), or what it holds.
        admission: What is taken for a film.

    Returns:
        The display-ready image and the usable part of the header.

    Raises:
        RejectedFile: The file isn't one readable, single-frame chest radiograph.
    """
    with quiet():
        dataset = _open(source, admission)
        try:
            found = _check(dataset, admission)
            grey = _decode(dataset)
            return grey._replace(warnings=found + grey.warnings), read_header(dataset)
        except (RejectedFile, MemoryError):
            raise
        except Exception:  # a damaged header can make pydicom raise anything at all
            raise RejectedFile("damaged DICOM file: its header contradicts itself") from None


def sop_uid(path: Path) -> str | None:
    """The SOPInstanceUID of a file; None for one without, or that isn't readable DICOM."""
    with quiet():
        try:
            header = pydicom.dcmread(
                path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]
            )
            return text_of(header, "SOPInstanceUID")
        except Exception:  # a damaged header can make pydicom raise anything at all
            return None


_LOUD = ("pydicom", "pylibjpeg", "openjpeg", "rle", "highdicom")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep messages of pydicom, its decoders and highdicom off the screen: they quote headers."""
    loggers = [logging.getLogger(name) for name in _LOUD]
    levels = [logger.level for logger in loggers]
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _open(source: Path | bytes, admission: Admission) -> FileDataset:
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            _check_deflated(file, admission)
            return pydicom.dcmread(file)
    except (RejectedFile, MemoryError):
        raise
    except InvalidDicomError:
        raise RejectedFile("not a DICOM file (no DICM marker)") from None
    except Exception:  # see above; OSError too, when a damaged length leads off the file
        raise RejectedFile("damaged DICOM header: it can't be read to its end") from None


def _check_deflated(file: BinaryIO, admission: Admission) -> None:
    """Unpack what a deflated file holds, a piece at a time, and forget it: it may be endless."""
    read_preamble(file, force=False)
    meta = _read_file_meta_info(file)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        unpacker, count = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while not unpacker.eof and (packed := unpacker.unconsumed_tail or file.read(_PIECE)):
            count += len(unpacker.decompress(packed, _PIECE))
            admission.check_bytes(count, "the deflated file")
    file.seek(0)


def _check(dataset: FileDataset, admission: Admission) -> list[str]:
    """Refuse what isn't one chest radiograph; give the warnings of what is."""
    modality = str(dataset.get("Modality") or "").strip("\0 ").upper()
    if modality not in RADIOGRAPHS and not admission.any_modality:
        known = f"modality {modality}" if modality in NOT_RADIOGRAPHS else "an unknown modality"
        raise RejectedFile(f"{known}: not a radiograph (--any-modality)")
    if "PixelData" not in dataset:
        if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
            raise RejectedFile("floating-point pixel data: whole numbers can be read")
        raise RejectedFile("no pixel data, or cut off before it")
    if dataset.get("NumberOfFrames") and _whole(dataset, "NumberOfFrames") > 1:
        raise RejectedFile("several frames: not a single radiograph")
    _check_storage(dataset, admission)
    return [] if admission.any_body_part else _check_body_part(dataset)


def _check_storage(dataset: FileDataset, admission: Admission) -> None:
    rows, columns = _whole(dataset, "Rows"), _whole(dataset, "Columns")
    admission.check_size(rows, columns)
    bits = _whole(dataset, "BitsStored")
    if not 8 <= bits <= 16 or _whole(dataset, "BitsAllocated") not in (8, 16):
        raise RejectedFile(f"{bits} bits stored: 8 to 16 can be read")
    if "HighBit" in dataset and _whole(dataset, "HighBit") != bits - 1:
        raise RejectedFile("high bit is not the last of the bits stored")
    if _whole(dataset, "SamplesPerPixel") not in (1, 3):
        raise RejectedFile("samples per pixel other than 1 (grey) and 3 (colour)")
    _whole(dataset, "PixelRepresentation")
    syntax = _syntax(dataset)
    if syntax == JPEGExtended12Bit and bits > 8:
        raise RejectedFile(
            f"transfer syntax {JPEGExtended12Bit.name} with {bits} bits: no decoder at hand reads"
            " 12-bit lossy JPEG; convert the file to an uncompressed or JPEG 2000 syntax"
        )
    if syntax in WITH_SIZE:
        _check_stream(next(generate_frames(dataset.PixelData, number_of_frames=1)), rows, columns)


def _whole(dataset: FileDataset, keyword: str) -> int:
    try:
        return int(dataset.get(keyword))
    except (TypeError, ValueError):
        raise RejectedFile(f"damaged DICOM header: no usable {keyword}") from None


def _syntax(dataset: FileDataset) -> UID:
    uid = dataset.file_meta.get("TransferSyntaxUID")
    if uid is None:
        raise RejectedFile("damaged DICOM header: no usable TransferSyntaxUID")
    return UID(uid)


def _check_stream(stream: bytes, rows: int, columns: int) -> None:
    """A decoder goes by the stream's own size: it must be the header's, which is checked."""
    found, samples = stream_size(stream)[:2], stream_size(stream)[2]
    if found != (rows, columns) or samples > 4:
        raise RejectedFile(
            f"its stream declares {found[0]} x {found[1]} pixels of {samples} samples, its header "
            f"{rows} x {columns}"
        )


def _check_body_part(dataset: FileDataset) -> list[str]:
    """Ribs are filmed as a chest or nearly so; an unknown word may be any language's chest."""
    part = body_part(dataset)
    if not part or CHEST.search(part):
        return []
    if not MAYBE_CHEST.match(part) and NOT_CHEST.search(part):
        named = f"body part {part}" if part in BODY_PARTS else "another body part"
        raise RejectedFile(f"{named}: not a chest radiograph")
    named = f"body part {part}" if part in BODY_PARTS else "a body part by an unknown word"
    return [f"{named}: taken for a chest radiograph"]


def _decode(dataset: FileDataset) -> Grey:
    syntax = _syntax(dataset)
    name = syntax.name if syntax.is_transfer_syntax else "unknown transfer syntax"
    try:  # YBR comes out as RGB
        array = pixel_array(dataset, decoding_plugin=DECODERS.get(syntax, ""))
    except MemoryError:
        raise
    except Exception:
        raise RejectedFile(
            f"pixel data can't be decoded ({name}): damaged, or not as the header says"
        ) from None
    warnings = []
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
        warnings = ends_early(stream, array)
    if array.ndim == 3 and array.shape[-1] == 3:
        grey = _luminance(array, int(dataset.BitsStored))
        return upright(grey._replace(warnings=warnings + grey.warnings), dataset)
    if array.ndim != 2:
        raise RejectedFile("pixel data is not one grey or colour picture")
    if dataset.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise RejectedFile("palette colour or unknown photometric interpretation")
    grey = render(array, dataset)
    return upright(grey._replace(warnings=warnings + grey.warnings), dataset)


def _luminance(array: np.ndarray, bits: int) -> Grey:
    """Colour (a secondary capture) as its luminance; no window applies to colour."""
    grey = luminance(array, (1 << bits) - 1)
    warning = "colour image: its luminance is used"
    return Grey(np.clip(grey, 0, 1), None, [warning])


def luminance(colour: np.ndarray, highest: int) -> np.ndarray:
    """(H, W, 3 or more) samples of 0 to `highest` as (H, W) float32 in [0, 1], some rows at a time:
    in double precision the whole would take many times the picture's memory.
    """
    grey = np.empty(colour.shape[:2], np.float32)
    for start in range(0, len(colour), _ROWS):
        rows = colour[start : start + _ROWS, :, :3]
        grey[start : start + _ROWS] = rows @ LUMINANCE / np.float64(highest)
    return grey
