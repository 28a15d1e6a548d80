"""What a report takes over from its film: whose it is, of which study, and the film's own UIDs.

This is the one place where identifiers are taken over as they stand: a report must name the same
patient as the film, or a hospital's systems can't file it.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom import config
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM, validate_value

from data_prep.errors import RejectedFile
from data_prep.films.dicom import quiet
from data_prep.films.film import is_dicom
from data_prep.films.header import text_of

_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "IssuerOfPatientID")
_STUDY = ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName")
_FILM = ("PatientOrientation", "BurnedInAnnotation")
_SEXES = ("M", "F", "O")
_MOMENTS = {"DA": DA, "TM": TM}  # which know that there is no 30 February


@dataclass(frozen=True)
class Source:
    """A DICOM film's header, as far as reports need it. Its repr shows no identifier.

    Attributes:
        header: the four UIDs; name, ID, birth date and sex of the patient; date, time, number,
            accession number and referring physician of the study, "" for what is missing or isn't
            valid DICOM; and, where the film has them, `IssuerOfPatientID`, `PatientOrientation`
            and `BurnedInAnnotation`.
        patient: the ID as it stands, valid or not, to be hashed as `cxrkeras prep` does; None for
            none.
    """

    header: Dataset = field(repr=False)
    patient: str | None = field(default=None, repr=False)


def read_source(path: Path) -> Source:
    """Read the header of a DICOM film.

    Raises:
        RejectedFile: it isn't DICOM, or lacks what a report must refer to; without any value.
    """
    if not path.is_file() or not is_dicom(path):
        raise RejectedFile("it isn't a DICOM file")
    wanted = (*_UIDS, *_PATIENT, *_STUDY, *_FILM)
    with quiet():
        try:
            names = ["SpecificCharacterSet", *wanted]
            read = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=names)
            texts = {name: _valid(read, name) for name in wanted}
            patient = text_of(read, "PatientID")
        except Exception:  # a damaged header can make pydicom raise anything at all
            raise RejectedFile("its header can't be read") from None
        for name in _UIDS:
            if not texts[name]:
                raise RejectedFile(f"its header has no valid {name}")
        if texts["PatientSex"] not in _SEXES:
            texts["PatientSex"] = ""
        header = Dataset()
        for name in (*_UIDS, *_PATIENT[:-1], *_STUDY):
            setattr(header, name, texts[name])
        for name in ("IssuerOfPatientID", *_FILM):
            if texts[name]:
                setattr(header, name, texts[name].split("\\"))
    return Source(header, patient)


def _valid(read: Dataset, name: str) -> str:
    """A field as text; "" where it is missing or not what DICOM allows there."""
    value = read.get(name)
    parts = list(value) if isinstance(value, pydicom.multival.MultiValue) else [value]
    texts = [str(part if part is not None else "").strip("\0 ") for part in parts]
    if len(texts) > 1 and dictionary_VM(name) == "1":
        return ""
    with suppress(ValueError):
        for text in texts:
            validate_value(dictionary_VR(name), text, config.RAISE)
            _MOMENTS.get(dictionary_VR(name), str)(text)
        return "\\".join(texts)
    return ""
