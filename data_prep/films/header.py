"""What may be used of a DICOM header, and the words of it that may be repeated: known terms, never
a person's free text.
"""

import re
from dataclasses import dataclass, field
from datetime import date

from pydicom.dataset import Dataset

# ViewPosition: PS3.3 C.8.1.1 and C.8.11.5, and what machines write for them.
_VIEWS = """
AP PA LL RL RLD LLD RLO LLO LAO RAO LPO RPO LATERAL LAT LLAT RLAT FRONTAL OBLIQUE LORDOTIC
"""
_BESIDE = "LEFT RIGHT L R ERECT UPRIGHT STANDING SUPINE SITTING PORTABLE DECUBITUS DECUB"
# BodyPartExamined: words of anatomy, mostly those of PS3.16 Annex L.
_BODY_PARTS = """
ABDOMEN ABDOMENPELVIS ANKLE ARM BACK BLADDER BRAIN BREAST BRONCHUS CALCANEUS CERVIX CHEST
CHESTABDOMEN CHESTABDPELVIS CLAVICLE COCCYX COLON CSPINE CTSPINE ELBOW ESOPHAGUS EXTREMITY EYE
FACE FEMUR FINGER FOOT HAND HEAD HEADNECK HEART HIP HUMERUS JAW KIDNEY KNEE LARYNX LEG LIVER
LOWERLIMB LSPINE LSSPINE LUNG MANDIBLE MAXILLA MEDIASTINUM NECK NECKCHEST NOSE ORBIT PATELLA
PELVIS PROSTATE RADIUS RADIUSULNA RIB RIBCAGE SACRUM SCAPULA SHOULDER SKULL SPINE SSPINE STERNUM
TEETH THIGH THORAX THUMB TIBIA TIBIAFIBULA TLSPINE TOE TRACHEA TRUNK TSPINE ULNA UPPERLIMB UTERUS
WHOLEBODY WRIST ZYGOMA
"""
VIEWS = frozenset(_VIEWS.split())
BESIDE_VIEWS = frozenset(_BESIDE.split())  # say nothing alone
BODY_PARTS = frozenset(_BODY_PARTS.split())
OTHER = "OTHER"


@dataclass(frozen=True)
class Header:
    """What may be used of a DICOM header. Its repr does not show the identifiers.

    Attributes:
        patient_id: PatientID as it stands, to be hashed at once.
        study_uid: StudyInstanceUID.
        sop_uid: SOPInstanceUID, one per image.
        view: `PA`, `AP`, `LL`, ... in capitals; None for what is no such term.
        sex: `M`, `F` or `O`.
        age: Completed years; below 2 years with a fraction.
        body_part: BodyPartExamined in capitals; `OTHER` for what is no known term.
    """

    patient_id: str | None = field(default=None, repr=False)
    study_uid: str | None = field(default=None, repr=False)
    sop_uid: str | None = field(default=None, repr=False)
    view: str | None = None
    sex: str | None = None
    age: float | None = None
    body_part: str | None = None


def read_header(dataset: Dataset) -> Header:
    """The usable part of a header; a field that is absent or malformed is None."""
    return Header(
        patient_id=text_of(dataset, "PatientID"),
        study_uid=text_of(dataset, "StudyInstanceUID"),
        sop_uid=text_of(dataset, "SOPInstanceUID"),
        view=view_term(text_of(dataset, "ViewPosition") or ""),
        sex=sex if (sex := (text_of(dataset, "PatientSex") or "").upper()) in set("MFO") else None,
        age=_age(dataset),
        body_part=body_part_term(body_part(dataset)),
    )


def text_of(dataset: Dataset, keyword: str) -> str | None:
    """A field's text without blanks and zero bytes at its ends; None for none."""
    return str(dataset.get(keyword) or "").strip("\0 ") or None


def body_part(dataset: Dataset) -> str:
    """BodyPartExamined in bare capitals: to decide by, not to repeat, since it may be free text."""
    return re.sub(r"[^A-Z]", "", (text_of(dataset, "BodyPartExamined") or "").upper())


def _age(dataset: Dataset) -> float | None:
    """Age in years from PatientAge (`058Y`, `006M`, `010D`; bare digits are years) or dates.

    Whole years only, so that with a study date it doesn't tell the birth date.
    """
    match = re.fullmatch(r"(\d{1,3})([DWMY]?)", (text_of(dataset, "PatientAge") or "").upper())
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


def _date(dataset: Dataset, keyword: str) -> date | None:
    match = re.fullmatch(r"(\d{4})\.?(\d\d)\.?(\d\d)", text_of(dataset, keyword) or "")
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def view_term(text: str) -> str | None:
    """The view that a header names, in capitals, as `LEFT LATERAL`; None where a word is no term.

    Args:
        text: words between blanks, hyphens, underscores or slashes.
    """
    words = re.split(r"[\s\-_/]+", text.strip().upper())
    if VIEWS.isdisjoint(words) or not (VIEWS | BESIDE_VIEWS).issuperset(words):
        return None
    return " ".join(words)


def body_part_term(letters: str) -> str | None:
    """The body part that bare capitals name, `OTHER` where that is no term; None for no letter."""
    return (letters and (letters if letters in BODY_PARTS else OTHER)) or None
