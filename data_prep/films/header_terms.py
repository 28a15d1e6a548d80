"""Words of a DICOM header that may be repeated: known terms, never a person's free text."""

import re

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
