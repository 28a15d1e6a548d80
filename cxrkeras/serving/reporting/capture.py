"""A heat map's picture as a DICOM Secondary Capture Image, which every viewer opens.

A presentation state would leave the film's own pixels beside the map, but it can't hold colours
blended by a map, and viewers that don't know it show the film without a warning. Here the warning
is in the pixels.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

from cxrkeras.serving.reporting.said import Algorithm
from cxrkeras.serving.reporting.source import Source
from cxrkeras.serving.reporting.written import comments, equipment, uids

if TYPE_CHECKING:
    from highdicom.sc import SCImage

_SERIES = 9302
_ANYWHERE = ("L", "F")  # highdicom wants an orientation; the film's own, or none, follows
_LONGEST = 1024  # characters of an ST
_PURPOSE = ("121322", "DCM", "Source image for image processing operation")


def secondary_capture(
    source: Source, picture: Image.Image, told: str, algorithm: Algorithm, number: int
) -> "SCImage":
    """A colour Secondary Capture that refers to its film.

    Its BurnedInAnnotation is `NO` only where the film's is: what we write names nobody, but the
    film shows through.

    Args:
        source: the film's header.
        picture: RGB, with its warning drawn in.
        told: what it shows and how it was made.
        algorithm: that made it.
        number: of the instance in its series, from 1.
    """
    from highdicom.sc import SCImage

    film, pixels = source.header, np.asarray(picture.convert("RGB"))
    made = SCImage.from_ref_dataset(
        film,
        pixels,
        "RGB",
        8,
        "PATIENT",
        series_number=_SERIES,
        instance_number=number,
        patient_orientation=_ANYWHERE,
        **uids(source, algorithm, "map", hashlib.sha256(pixels.tobytes()).hexdigest()),
        **equipment(algorithm, "heat maps"),
    )
    made.copy_patient_and_study_information(film)
    made.PatientOrientation = film.get("PatientOrientation", "")
    made.BurnedInAnnotation = "NO" if film.get("BurnedInAnnotation") == "NO" else "YES"
    made.DerivationDescription = " ".join((told, *algorithm.parameters))[:_LONGEST]
    made.ImageComments = " ".join(comments(()))
    made.SourceImageSequence = [_reference(film)]
    return made


def _reference(film: Dataset) -> Dataset:
    from highdicom.sr import CodedConcept

    item = Dataset()
    item.ReferencedSOPClassUID = film.SOPClassUID
    item.ReferencedSOPInstanceUID = film.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [CodedConcept(*_PURPOSE)]
    return item
