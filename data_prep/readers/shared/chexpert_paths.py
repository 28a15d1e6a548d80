"""What a path of CheXpert says: whose film it is, of which study and view, in which part.

`CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg`: patients have numbers of their own
across train, valid and test, so the last three parts name a film wherever the archive lies.
"""

import re
from typing import NamedTuple

_PATH = re.compile(
    r"(?:(?:^|/)(train|valid|val|test)/|^|/)(patient\d+)/(study\d+)"
    r"(?:/(view\d+_(frontal|lateral)\.\w+))?$",
    re.IGNORECASE,
)


class Place(NamedTuple):
    """What a path says.

    Attributes:
        split: `train`, `valid`, `test`, or `""` where the path doesn't say.
        patient: e.g. `patient00001`.
        study: e.g. `patient00001/study1`.
        image: e.g. `patient00001/study1/view1_frontal.jpg`, or None for a study's path.
        view: `frontal`, `lateral`, or `""` for a study's path.
    """

    split: str
    patient: str
    study: str
    image: str | None
    view: str


def place_of(path: str) -> Place | None:
    """What a path of any release says (`\\` and foreign folders in front allowed), or None."""
    match = _PATH.search(path.strip().replace("\\", "/").rstrip("/"))
    if not match:
        return None
    split, patient, study, film, view = match.groups()
    split = {"val": "valid"}.get((split or "").lower(), (split or "").lower())
    image = f"{patient}/{study}/{film}" if film else None
    return Place(split, patient, f"{patient}/{study}", image, (view or "").lower())
