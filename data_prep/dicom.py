"""DICOM radiographs: opened, checked, decoded, rendered. Nothing of a header's text leaves here
but what `Header` holds; reasons and warnings are our own words.
"""

import io
import logging
import re
import warnings as python_warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels import pixel_array
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from .display import Grey, render, upright
from .errors import RejectedFile

MAX_PIXELS = 100_000_000  # a chest film has 4 to 20 million; a damaged header may claim billions
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow's "L"

# One decoder each where there is a choice: on damaged data GDCM may abort the whole process and
# pylibjpeg-rle panics past `except Exception`. For JPEG Lossless GDCM alone is left.
DECODERS = {
    RLELossless: "pydicom",
    JPEGBaseline8Bit: "pillow",
    JPEGExtended12Bit: "pillow",
    **dict.fromkeys(JPEGLSTransferSyntaxes, "gdcm"),  # pyjpegls can hang on damage
    **dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"),
}

NOT_RADIOGRAPHS = frozenset(
    ["CT", "MR", "PT", "NM", "US", "MG", "XA", "OP", "ES", "ECG", "SR", "PR", "KO", "SEG", "DOC"]
)
CHEST = re.compile(r"CHEST|THORA|TORAX|TORAC|LUNG|PULM|HEART|CARDIA|MEDIASTIN")
MAYBE_CHEST = re.compile(r"^(RIB|STERNUM|WHOLEBODY|TRUNK)")
NOT_CHEST = re.compile(
    r"EXTREMIT(?:Y|IES)|SKULL|HEAD|BRAIN|NECK|JAW|MAXILLA|MANDIBLE|FACE|SINUS|ORBIT|EYE|NOSE"
    r"|TEETH|TOOTH|SPINE|SACRUM|COCCYX|CLAVICLE|SCAPULA|SHOULDER|ARM$|HUMERUS|ELBOW|WRIST|HAND|FINGER"
    r"|THUMB|RADIUS|ULNA|PELVIS|HIP$|FEMUR|THIGH|KNEE|PATELLA|LEG$|TIBIA|FIBULA|ANKLE|CALCANEUS|FOOT"
    r"|TOE|ABDOMEN|KIDNEY|BLADDER|COLON|UTERUS|PROSTATE|BREAST"
)


@dataclass(frozen=True)
class Header:
    """What may be used of a DICOM header. Its repr does not show the identifiers.

    Attributes:
        patient_id: PatientID as it stands, to be hashed at once.
        study_uid: StudyInstanceUID.
        sop_uid: SOPInstanceUID, one per image.
        view: `PA`, `AP`, `LL`, ... in capitals.
        sex: `M`, `F` or `O`.
        age: Completed years; below 2 years with a fraction.
        body_part: BodyPartExamined in capitals; `UNKNOWN` for what is no known term.
    """

    patient_id: str | None = field(default=None, repr=False)
    study_uid: str | None = field(default=None, repr=False)
    sop_uid: str | None = field(default=None, repr=False)
    view: str | None = None
    sex: str | None = None
    age: float | None = None
    body_part: str | None = None


def read_dicom(source: Path | bytes, *, any_body_part: bool = False) -> tuple[Grey, Header]:
    """Read and render one DICOM radiograph.

    Args:
        source: A DICOM file (Part 10, with the `DICM` marker), or what it holds.
        any_body_part: Take images whose header names another part of the body too.

    Returns:
        The display-ready image and the usable part of the header.

    Raises:
        RejectedFile: The file isn't one readable, single-frame chest radiograph.
    """
    with _quiet():
        dataset = _open(source)
        try:
            found = _check(dataset, any_body_part)
            grey = _decode(dataset)
            return grey._replace(warnings=found + grey.warnings), read_header(dataset)
        except RejectedFile:
            raise
        except Exception as error:  # a damaged header can make pydicom raise anything at all
            raise RejectedFile(f"damaged DICOM file ({type(error).__name__})") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pydicom's and its decoders' messages from the screen: they quote header values."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "pylibjpeg", "openjpeg", "rle")]
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


def _open(source: Path | bytes) -> FileDataset:
    try:
        return pydicom.dcmread(io.BytesIO(source) if isinstance(source, bytes) else source)
    except InvalidDicomError:
        raise RejectedFile("not a DICOM file (no DICM marker)") from None
    except Exception as error:  # see above; OSError too, when a damaged length leads off the file
        raise RejectedFile(f"damaged DICOM header ({type(error).__name__})") from None


def _check(dataset: FileDataset, any_body_part: bool) -> list[str]:
    """Refuse what isn't one chest radiograph; give the warnings of what is."""
    modality = str(dataset.get("Modality") or "").upper()
    if modality in NOT_RADIOGRAPHS:
        raise RejectedFile(f"modality {modality}: not a radiograph")
    if "PixelData" not in dataset:
        raise RejectedFile("no pixel data, or cut off before it")
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise RejectedFile("several frames: not a single radiograph")
    _check_storage(dataset)
    return [] if any_body_part else _check_body_part(dataset)


def _check_storage(dataset: FileDataset) -> None:
    if not 0 < int(dataset.Rows) * int(dataset.Columns) <= MAX_PIXELS:
        raise RejectedFile("image size of 0 or above 100 million pixels")
    bits = int(dataset.BitsStored)
    if not 8 <= bits <= 16 or int(dataset.BitsAllocated) not in (8, 16):
        raise RejectedFile(f"{bits} bits stored: 8 to 16 can be read")
    if int(dataset.get("HighBit", bits - 1)) != bits - 1:
        raise RejectedFile("high bit is not the last of the bits stored")
    if dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit and bits > 8:
        raise RejectedFile(
            f"transfer syntax {JPEGExtended12Bit.name} with {bits} bits: no decoder at hand reads"
            " 12-bit lossy JPEG; convert the file to an uncompressed or JPEG 2000 syntax"
        )


def _check_body_part(dataset: FileDataset) -> list[str]:
    """Ribs are filmed as a chest or nearly so; an unknown word may be any language's chest."""
    part = _body_part(dataset)
    if not part or CHEST.search(part):
        return []
    if not MAYBE_CHEST.match(part) and NOT_CHEST.search(part):
        raise RejectedFile(f"body part {part}: not a chest radiograph")
    return [f"body part {part}: taken for a chest radiograph"]


def _decode(dataset: FileDataset) -> Grey:
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    try:  # YBR comes out as RGB
        array = pixel_array(dataset, decoding_plugin=DECODERS.get(syntax, ""))
    except Exception as error:
        name = syntax.name if syntax.is_transfer_syntax else "unknown transfer syntax"
        raise RejectedFile(
            f"pixel data can't be decoded ({name}, {type(error).__name__})"
        ) from None
    if array.ndim == 3 and array.shape[-1] == 3:
        return upright(_luminance(array, int(dataset.BitsStored)), dataset)
    if array.ndim != 2:
        raise RejectedFile("pixel data is not one grey or colour picture")
    if dataset.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise RejectedFile("palette colour or unknown photometric interpretation")
    return upright(render(array, dataset), dataset)


def _luminance(array: np.ndarray, bits: int) -> Grey:
    """Colour (a secondary capture) as its luminance; no window applies to colour."""
    grey = array @ LUMINANCE / float((1 << bits) - 1)
    warning = "colour image: its luminance is used"
    return Grey(np.clip(grey, 0, 1).astype(np.float32), None, [warning])


def read_header(dataset: FileDataset) -> Header:
    """The usable part of a header; a field that is absent or malformed is None."""
    return Header(
        patient_id=_text(dataset, "PatientID"),
        study_uid=_text(dataset, "StudyInstanceUID"),
        sop_uid=_text(dataset, "SOPInstanceUID"),
        view=_view(dataset),
        sex=sex if (sex := (_text(dataset, "PatientSex") or "").upper()) in set("MFO") else None,
        age=_age(dataset),
        body_part=_body_part(dataset) or None,
    )


def _text(dataset: FileDataset, keyword: str) -> str | None:
    return str(dataset.get(keyword) or "").strip("\0 ") or None


def _body_part(dataset: FileDataset) -> str:
    """BodyPartExamined in bare capitals; `UNKNOWN` for no known term (it may be free text)."""
    part = re.sub(r"[^A-Z]", "", (_text(dataset, "BodyPartExamined") or "").upper())
    known = CHEST.search(part) or MAYBE_CHEST.match(part) or NOT_CHEST.search(part)
    return part if known and len(part) <= 16 else "UNKNOWN" if part else ""


def _view(dataset: FileDataset) -> str | None:
    view = (_text(dataset, "ViewPosition") or "").upper()
    return view if re.fullmatch(r"[A-Z]{1,9}", view) else None


def _age(dataset: FileDataset) -> float | None:
    """Age in years from PatientAge (`058Y`, `006M`, `010D`; bare digits are years) or dates.

    Whole years only, so that with a study date it doesn't tell the birth date.
    """
    match = re.fullmatch(r"(\d{1,3})([DWMY]?)", (_text(dataset, "PatientAge") or "").upper())
    if match:
        per_year = {"D": 365.25, "W": 365.25 / 7, "M": 12.0}.get(match.group(2), 1.0)
        age = int(match.group(1)) / per_year
    else:
        born, seen = _date(dataset, "PatientBirthDate"), _date(dataset, "StudyDate")
        if born is None or seen is None:
            return None
        age = (seen - born).days / 365.25
    if not 0 <= age <= 130:
        return None
    return float(int(age)) if age >= 2 else round(age, 2)


def _date(dataset: FileDataset, keyword: str) -> date | None:
    match = re.fullmatch(r"(\d{4})\.?(\d\d)\.?(\d\d)", _text(dataset, keyword) or "")
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None
