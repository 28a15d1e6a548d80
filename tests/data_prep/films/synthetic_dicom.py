"""A small DICOM radiograph in memory, with any header fields, for the tests beside it."""

import warnings
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation as DX
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

NAME, PATIENT, BORN = "Featherstonehaugh^Zebedee", "QX-7391-ZZ", "19231107"


def dicom(stored: np.ndarray, *, bits: int = 12, **fields: object) -> FileDataset:
    """A single-frame DX image of `stored`; a field given as None is left out."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = DX, generate_uid()
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    allocated = 8 if bits <= 8 else 16
    signed = stored.dtype.kind == "i"
    colour = stored.ndim == 3
    header = {
        "SOPClassUID": DX,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": "1.2.3",
        "Modality": "DX",
        "PatientName": NAME,
        "PatientID": PATIENT,
        "PatientBirthDate": BORN,
        "PatientSex": "F",
        "StudyDate": "20000106",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "SamplesPerPixel": 3 if colour else 1,
        "PlanarConfiguration": 0 if colour else None,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": allocated,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(signed),
        "PixelData": stored.astype(f"<{'i' if signed else 'u'}{allocated // 8}").tobytes(),
        **fields,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that the standard doesn't allow: meant so
        for keyword, value in header.items():
            if value is not None:
                setattr(dataset, keyword, value)
    return dataset


def lut(entries: list[int], first: int, bits: int) -> Dataset:
    """An item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) & 0xFFFF, first, bits])
    item.add_new("LUTData", "US", entries)
    return item


def save(dataset: FileDataset, path: Path) -> Path:
    """Write as a Part 10 file; the pixel data's VR is set as a writer would."""
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
    dataset.save_as(path, enforce_file_format=True)
    return path
