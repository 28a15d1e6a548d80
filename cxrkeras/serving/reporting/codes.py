"""Codes of findings and of what is said of them: public ones where DICOM has them, else our own."""

import hashlib
import re
import unicodedata
from typing import NamedTuple

from data_prep.tables.ontology import folded, ours

PRIVATE = "99CXRKERAS"
"""Coding scheme designator of our own codes; DICOM reserves names in 99 for such (PS3.16, 8)."""
_CODE, _MEANING = 16, 64  # characters that DICOM allows (SH, LO)


class Coded(NamedTuple):
    """A concept.

    Args:
        value: the code.
        scheme: DICOM's designator of its coding scheme.
        meaning: in words.
    """

    value: str
    scheme: str
    meaning: str


PROBABILITY = Coded("122157", "DCM", "Probability")
THRESHOLD = Coded("122411", "DCM", "Threshold Value")
ADJUSTED = Coded("m-adjusted", PRIVATE, "Probability with the loss's distortion undone")
CALIBRATED = Coded("m-calibrated", PRIVATE, "Calibrated probability")
PREVALENCE = Coded("m-prevalence", PRIVATE, "Prevalence in the training data")
DECISION = Coded("m-decision", PRIVATE, "Decision at the operating point")
POSITIVE = Coded("10828004", "SCT", "Positive")
NEGATIVE = Coded("260385009", "SCT", "Negative")
NO_UNIT = Coded("1", "UCUM", "no units")
AI = Coded("123110", "DCM", "Artificial Intelligence")
CHEST = Coded("413815006", "SCT", "Chest imaging")
COMMENT = Coded("121106", "DCM", "Comment")


def code_of(label: str) -> Coded:
    """The code of a finding in any spelling that is known, else one made of its name."""
    name = ours().name_of(label)
    if name is not None and ours().findings[name].code:
        scheme, value, meaning = ours().findings[name].code
        return Coded(value, scheme, meaning)
    told = re.sub(r"[\\\x00-\x1f]", "/", (name or label).replace("_", " "))
    return Coded(_own(name or label), PRIVATE, told.strip()[:_MEANING] or "?")


def _own(name: str) -> str:
    """A short code, the same wherever the name is the same: `atelectasis`, `pleural-t-5e1d3a`."""
    wanted = folded(name)
    plain = unicodedata.normalize("NFKD", wanted).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if slug and slug == wanted.replace(" ", "-") and len(slug) <= _CODE:
        return slug
    digest = hashlib.sha256(wanted.encode()).hexdigest()[:6]
    return f"{slug[: _CODE - 7].strip('-')}-{digest}".strip("-")
