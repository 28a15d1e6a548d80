"""The three fictional hospitals: machines, patients, and words for the findings."""

from dataclasses import dataclass, field

from data_prep.errors import UserError
from data_prep.phantom.physics import Detector


@dataclass(frozen=True)
class Hospital:
    """Where images come from.

    Args:
        code: enters every seed and every UID.
        labels: the hospital's name of a label -> the finding that it means.
        prevalence: finding -> probability that a patient has it.
        detector: the machine for PA views.
        portable: the machine for AP views.
        frontal: share of PA views.
        border: probability of a collimated border, drawn white (unexposed) if `white`.
        white: colour of that border on the display.
        letter: the side marker, "L" or "R", always on its own side.
        field: side of the detector, cm.
        maker: goes into the DICOM header.
    """

    code: int
    labels: dict[str, str]
    detector: Detector
    portable: Detector
    prevalence: dict[str, float] = field(default_factory=dict)
    frontal: float = 0.8
    border: float = 0.2
    white: bool = False
    letter: str = "L"
    field: float = 37.0
    maker: str = "Fictional Imaging"


_COMMON = {
    "Cardiomegaly": 0.16,
    "Effusion": 0.16,
    "Pneumothorax": 0.13,
    "Nodule": 0.15,
    "Infiltration": 0.16,
    "Aortic calcification": 0.13,
    "Scoliosis": 0.12,
    "Pacemaker": 0.05,
}

HOSPITALS = {
    "target": Hospital(
        code=0,
        labels={name: name for name in _COMMON if name != "Pacemaker"},
        prevalence=_COMMON,
        detector=Detector(),
        portable=Detector(dose=0.5, scatter=0.3, blur=0.03, level=0.38),
        frontal=0.9,
        border=0.1,
    ),
    "a": Hospital(
        code=1,
        labels={n: n for n in list(_COMMON)[:5]},
        prevalence={**_COMMON, "Effusion": 0.20, "Infiltration": 0.24, "Scoliosis": 0.05},
        detector=Detector(dose=0.6, scatter=0.2, blur=0.035, sharpen=0.1, level=0.30, high=0.92),
        portable=Detector(dose=0.3, scatter=0.4, blur=0.045, sharpen=0.1, level=0.30, high=0.92),
        frontal=0.62,
        border=0.45,
        white=True,
        field=38.5,
        maker="Imaginary Rays",
    ),
    "b": Hospital(
        code=2,
        labels={
            "Cardiomegaly": "Cardiomegaly",
            "Pleural Effusion": "Effusion",
            "Pneumothorax": "Pneumothorax",
            "Lung Lesion": "Nodule",
            "Lung Opacity": "Infiltration",
            "Support Devices": "Pacemaker",
        },
        prevalence={**_COMMON, "Effusion": 0.24, "Pacemaker": 0.20, "Scoliosis": 0.06},
        detector=Detector(dose=1.4, scatter=0.12, sharpen=0.6, level=0.50, low=0.16, high=0.84),
        portable=Detector(dose=0.5, scatter=0.35, blur=0.03, sharpen=0.6, level=0.46, low=0.22),
        frontal=0.35,
        border=0.3,
        letter="R",
        field=35.8,
        maker="Supposed Radiography",
    ),
}


def find_hospital(name: str) -> Hospital:
    """The hospital of that name; raises a UserError with the known names if there is none."""
    if name not in HOSPITALS:
        raise UserError(
            f"A phantom's hospital is one of {', '.join(HOSPITALS)}. Received: {name!r}."
        )
    return HOSPITALS[name]
