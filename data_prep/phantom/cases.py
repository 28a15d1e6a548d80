"""Who the patients are: anatomy, findings, and how they stood before the detector each time."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from data_prep.phantom.findings import FINDINGS, Finding
from data_prep.phantom.geometry import Grid, stream
from data_prep.phantom.hospitals import Hospital
from data_prep.phantom.thorax import Thorax

VERSION = 1  # raise it when pixels change: it enters the seeds and the UIDs
FADING = {"Effusion": 0.8, "Pneumothorax": 0.8, "Infiltration": 0.8}  # chance to persist
FAMILIES = ("Ahorn", "Birkner", "Distel", "Erlen", "Farn", "Ginster", "Holunder", "Ulme")
GIVEN = {
    "F": ["Anna", "Clara", "Emma", "Ida", "Lena", "Nora"],
    "M": ["Anton", "Carl", "Emil", "Jakob", "Max", "Paul"],
}


@dataclass(frozen=True)
class Exposure:
    """One image: everything that its pixels follow from."""

    name: str
    view: str
    thorax: Thorax
    findings: dict[str, Finding]
    zoom: float
    roll: float
    shift: tuple[float, float]
    border: tuple[float, float, float, float]
    seed: tuple[int, ...]
    when: date
    age: int

    def grid(self, size: int, field: float) -> Grid:
        """The detector as this patient stood before it."""
        return Grid(size, field, self.zoom, self.roll, self.shift)

    def frame(self) -> Thorax:
        """The thorax as the findings have changed it."""
        thorax = self.thorax
        for finding in self.findings.values():
            thorax = finding.shape(thorax)
        return thorax


@dataclass(frozen=True)
class Patient:
    """A fictional person and the images made of them."""

    identity: str
    name: str
    sex: str
    birth: date
    exposures: tuple[Exposure, ...]


def make_patient(hospital: Hospital, seed: int, index: int) -> Patient:
    """The `index`-th patient of a hospital; the same for every number of patients asked for."""
    key = (VERSION, hospital.code, seed, index)
    rng = stream("patient", key)
    sex = "F" if rng.random() < 0.48 else "M"
    identity = f"{'TAB'[hospital.code]}{index:06d}"
    name = f"{rng.choice(FAMILIES)}^{rng.choice(GIVEN[sex])}"
    present = _present(hospital, seed, index)
    age = _age(rng, present)
    first = date(2015, 1, 1) + timedelta(days=int(rng.integers(0, 2500)))
    birth = first - timedelta(days=int(age * 365.25 + rng.integers(0, 360)))
    count = int(rng.choice([1, 2, 3], p=[0.65, 0.22, 0.13]))
    zoom = float(rng.normal(1.0 if sex == "M" else 0.95, 0.035))
    thorax = _thorax(rng, sex, age)
    findings = {name: FINDINGS[name].sample(rng, thorax) for name in present}
    exposures, when = [], first
    for number in range(count):
        own = stream("exposure", (*key, number))
        kept = {
            name: finding
            for name, finding in findings.items()
            if number == 0 or own.random() < FADING.get(name, 1.0)
        }
        exposure = Exposure(
            name=f"{identity}_{number:03d}.dcm",
            seed=(*key, number),
            when=when,
            age=int((when - birth).days / 365.25),
            findings=kept,
            **_pose(own, hospital, thorax, zoom),
        )
        exposures.append(exposure)
        when += timedelta(days=int(own.integers(2, 200)))
    return Patient(identity, name, sex, birth, tuple(exposures))


def _present(hospital: Hospital, seed: int, index: int) -> list[str]:
    """The patient's findings, by an additive recurrence in each label (square roots of primes).

    A Kronecker sequence is equidistributed, jointly too, so that small sets come close to the
    prevalences with no label left without cases, and labels are independent in the long run.
    """
    start = stream("labels", (VERSION, hospital.code, seed)).random(len(FINDINGS))
    steps = np.sqrt([2, 3, 5, 7, 11, 13, 17, 19])
    place = np.mod(start + steps * index, 1.0)
    return [
        name for name, at in zip(FINDINGS, place, strict=True) if at < hospital.prevalence[name]
    ]


def _age(rng: np.random.Generator, present: list[str]) -> int:
    if {"Aortic calcification", "Pacemaker"} & set(present):
        return int(rng.integers(58, 91))
    if "Cardiomegaly" in present:
        return int(rng.integers(38, 89))
    return int(np.clip(rng.normal(50, 17), 18, 90))


def _thorax(rng: np.random.Generator, sex: str, age: int) -> Thorax:
    old = np.clip((age - 45) / 40, 0, 1)
    habitus = rng.normal(0, 1)
    lean = 1.2 if sex == "M" else 1.6
    breast = float(np.clip(rng.normal(5.2 + 0.5 * habitus, 0.7), 3.5, 7.2))
    return Thorax(
        width=float(np.clip(rng.normal(13.7 + 0.25 * habitus, 0.6), 12.2, 15.2)),
        depth=float(np.clip(rng.normal(9.0 + 0.4 * habitus + 0.5 * old, 0.5), 7.4, 11)),
        fat=float(np.clip(lean + 0.8 * habitus + rng.normal(0, 0.2), 0.4, 4.2)),
        dome=float(np.clip(rng.normal(8.2 - 0.4 * habitus, 0.7), 6, 9.8)),
        drop=float(np.clip(rng.normal(1.1, 0.4), -0.2, 2.2)),
        ratio=float(np.clip(rng.normal(0.435, 0.025), 0.37, 0.482)),
        knob=float(np.clip(rng.normal(1.45 + 0.3 * old, 0.1), 1.25, 1.9)),
        bone=float(np.clip(rng.normal(1.08 - 0.38 * old, 0.09), 0.55, 1.3)),
        breast=breast if sex == "F" else 0.0,
        arms=float(rng.normal(2.0, 0.4)),
        wobble=(float(rng.normal(0, 0.10)), float(rng.normal(0, 0.12))),
    )


def _pose(rng: np.random.Generator, hospital: Hospital, thorax: Thorax, zoom: float) -> dict:
    """How this image was taken: the fields of Exposure that change from one to the next."""
    view = "PA" if rng.random() < hospital.frontal else "AP"
    bedside = view == "AP"
    border = (0.0, 0.0, 0.0, 0.0)
    if rng.random() < hospital.border:
        border = tuple(float(v) for v in np.clip(rng.normal(0.012, 0.015, 4), 0, 0.05))
    return {
        "view": view,
        "thorax": thorax.changed(
            turn=float(rng.normal(0, 0.06 if bedside else 0.025)),
            dome=thorax.dome - abs(float(rng.normal(0, 0.3))) - (1.1 if bedside else 0.0),
            arms=thorax.arms - (1.6 if bedside else 0.0) + float(rng.normal(0, 0.15)),
        ),
        "zoom": zoom * (1.04 if bedside else 1.0) * float(rng.normal(1.0, 0.01)),
        "roll": float(rng.normal(0, 0.03 if bedside else 0.012)),
        "shift": (float(rng.normal(0, 0.5)), float(rng.normal(0.6, 0.6))),
        "border": border,
    }
