"""Films and tables for the examples of readers, which their shared tests read."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def write_film(path: Path, seed: int, **header: object) -> None:
    """Write 64 x 64 pixels of smooth noise as PNG, JPEG or DICOM; two seeds never look alike.

    Args:
        path: the suffix decides the format.
        seed: of the noise.
        **header: what a DICOM header says besides, e.g. `PatientID`.
    """
    import numpy as np
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    small = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12), np.uint8))
    film = small.resize((64, 64), Image.Resampling.BICUBIC)
    if path.suffix in (".dcm", ".dicom"):
        write_dicom(path, np.asarray(film), **header)
    else:
        film.save(path)


def write_dicom(path: Path, pixels: np.ndarray, **header: object) -> None:
    """Write (H, W) uint8 as a DICOM radiograph, air dark."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    rows, columns = pixels.shape
    facts = {
        "SOPClassUID": ComputedRadiographyImageStorage,
        "SOPInstanceUID": generate_uid(entropy_srcs=[path.name]),
        "Modality": "CR",
        "BodyPartExamined": "CHEST",
        "Rows": rows,
        "Columns": columns,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "PixelData": pixels.tobytes() + b"\0" * (pixels.size % 2),
    }
    for keyword, value in (facts | header).items():
        setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)


def write_table(path: Path, rows: Iterable[Sequence[object]]) -> Path:
    """Write rows, the header first, as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path
