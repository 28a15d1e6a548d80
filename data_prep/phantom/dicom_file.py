"""Stored values as a DICOM file: Digital X-Ray Image, as the hospital sends it."""

from datetime import timedelta
from io import BytesIO

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from data_prep.phantom.cases import Exposure, Patient
from data_prep.phantom.hospitals import Hospital

WRITER = "1.2.826.0.1.3680043.8.498.2022"  # below pydicom's root, which anyone may use


def uid(exposure: Exposure, size: int, what: str) -> str:
    """A UID that follows from the seed, the size and the kind of thing alone."""
    return generate_uid(
        entropy_srcs=["cxrkeras phantom", what, str(size), *map(str, exposure.seed)]
    )


def encode(stored: np.ndarray, patient: Patient, exposure: Exposure, hospital: Hospital) -> bytes:
    """A whole DICOM file.

    Args:
        stored: (size, size) uint16 in [0, 4095], low where little radiation came through.
        patient: whose image it is.
        exposure: which of the patient's images.
        hospital: who made it.

    Returns:
        The file's bytes; equal input gives equal bytes.
    """
    size = len(stored)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = uid(exposure, size, "image")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = WRITER
    meta.ImplementationVersionName = "CXRKERAS_PHANTOM"
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    _describe_patient(data, patient, exposure)
    _describe_study(data, exposure, hospital, size)
    _describe_pixels(data, hospital, size)
    data.PixelData = stored.astype("<u2").tobytes()
    data["PixelData"].VR = "OW"
    buffer = BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _describe_patient(data: Dataset, patient: Patient, exposure: Exposure) -> None:
    data.PatientName = patient.name
    data.PatientID = patient.identity
    data.PatientBirthDate = patient.birth.strftime("%Y%m%d")
    data.PatientSex = patient.sex
    data.PatientAge = f"{exposure.age:03d}Y"
    data.PatientComments = "Synthetic phantom: no such person exists"


def _describe_study(data: Dataset, exposure: Exposure, hospital: Hospital, size: int) -> None:
    day = exposure.when.strftime("%Y%m%d")
    clock = (
        str(timedelta(seconds=28_800 + exposure.seed[3] * 97 % 36_000)).zfill(8).replace(":", "")
    )
    data.SOPClassUID = DigitalXRayImageStorageForPresentation
    data.SOPInstanceUID = uid(exposure, size, "image")
    data.StudyInstanceUID = uid(exposure, size, "study")
    data.SeriesInstanceUID = uid(exposure, size, "series")
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = day
    data.StudyTime = data.AcquisitionTime = data.ContentTime = clock
    data.StudyID, data.AccessionNumber, data.ReferringPhysicianName = "1", "", ""
    data.SeriesNumber = data.InstanceNumber = 1
    data.Modality = "DX"
    data.PresentationIntentType = "FOR PRESENTATION"
    data.Manufacturer = hospital.maker
    data.ManufacturerModelName = "cxrkeras phantom"
    data.BodyPartExamined = "CHEST"
    data.ViewPosition = exposure.view
    data.PatientOrientation = ["L", "F"]
    data.ImageLaterality = "U"
    data.ImageType = ["DERIVED", "PRIMARY"]
    data.KVP = 120 if exposure.view == "PA" else 90


def _describe_pixels(data: Dataset, hospital: Hospital, size: int) -> None:
    data.Rows = data.Columns = size
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME1"
    data.PresentationLUTShape = "INVERSE"
    data.PixelIntensityRelationship = "LOG"
    data.PixelIntensityRelationshipSign = 1
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PixelRepresentation = 0
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = 0, 1, "US"
    data.WindowCenter, data.WindowWidth = 2048, 4096
    data.BurnedInAnnotation = "NO"
    data.LossyImageCompression = "00"
    spacing = round(hospital.field * 10 / size, 5)
    data.ImagerPixelSpacing = [spacing, spacing]
