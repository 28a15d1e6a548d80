"""A whole fictional archive: DICOM files, labels and boxes, over several processes."""

import os
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from data_prep.dataset.pool import Died, spread
from data_prep.errors import UserError
from data_prep.files import atomic_write_bytes, atomic_write_text
from data_prep.phantom.cases import Patient, make_patient
from data_prep.phantom.dicom_file import encode, uid
from data_prep.phantom.hospitals import Hospital, find_hospital
from data_prep.phantom.render import boxes, render
from data_prep.progress import Steps
from data_prep.tables.cells import rows_as_csv

SMALL_JOB = 12  # patients; fewer are drawn in this process


@dataclass(frozen=True)
class _Job:
    folder: Path
    hospital: str
    seed: int
    size: int
    patient: int


def write_phantoms(
    out: Path,
    *,
    patients: int,
    seed: int,
    size: int = 512,
    hospital: str = "target",
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Write synthetic chest radiographs as DICOM, with their labels and the findings' boxes.

    A run that was stopped goes on where it was: images that are already there are kept. The same
    arguments give the same bytes, whatever the number of workers.

    Args:
        out: folder to make. `dicom/NAME.dcm`, `labels.csv` (`image,patient,sex,age,view`, then
            0 or 1 for each of the hospital's labels) and `boxes.csv` (`image,label,x,y,width,
            height` in pixels) go into it.
        patients: how many patients; each has one to three images.
        seed: a non-negative number that everything follows from.
        size: pixels on a side.
        hospital: "target", "a" or "b": machine, patients and label names differ.
        workers: processes; by default one for each core; 0 or 1 works in this one.
        progress: show on standard error how far it is.

    Returns:
        `out`.

    Raises:
        UserError: an unknown hospital, a number out of range, or a folder of other images.
    """
    out = Path(out)
    place = find_hospital(hospital)
    _check("patients", patients, 1, 1_000_000)
    _check("size", size, 32, 4096)
    _check("seed", seed, 0, 2**63 - 1)
    people = [make_patient(place, seed, index) for index in range(patients)]
    if out.exists() and not out.is_dir():
        raise UserError(f"Phantoms need a folder. Received: {out}, which is a file. Give another.")
    folder = out / "dicom"
    todo = _missing(folder, people, size)
    folder.mkdir(parents=True, exist_ok=True)
    for torn in [*out.glob(".*.tmp"), *folder.glob(".*.tmp")]:  # of a run that was killed
        torn.unlink(missing_ok=True)
    jobs = [_Job(folder, hospital, seed, size, index) for index in todo]
    _run(jobs, (os.cpu_count() or 1) if workers is None else workers, progress)
    atomic_write_text(out / "labels.csv", _labels(people, place))
    atomic_write_text(out / "boxes.csv", _boxes(people, place, size))
    return out


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UserError(f"{name} must be {low} to {high}. Received: {value}.")


def _missing(folder: Path, people: list[Patient], size: int) -> list[int]:
    """The patients with missing images; raises UserError if another run's images are there."""
    wanted = {e.name: uid(e, size, "image") for p in people for e in p.exposures}
    there = {path.name for path in folder.glob("*.dcm")} if folder.is_dir() else set()
    for name in sorted(there):
        if wanted.get(name) != _instance(folder / name):
            raise UserError(
                f"A folder of phantoms holds only one set. {folder} has images of another seed, "
                "size or number of patients. Give an empty folder, or empty this one."
            )
    return [k for k, p in enumerate(people) if any(e.name not in there for e in p.exposures)]


def _instance(path: Path) -> str | None:
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
    except (InvalidDicomError, OSError):
        return None
    return header.get("SOPInstanceUID")


def _run(jobs: list[_Job], workers: int, progress: bool) -> None:
    # Starting processes takes longer than drawing a few images.
    spare = 0 if workers <= 1 or len(jobs) < SMALL_JOB else min(workers, len(jobs))
    with Steps("phantoms", len(jobs), shown=progress) as steps:
        for _, outcome in spread(_draw, jobs, spare):
            if isinstance(outcome, Died):
                raise UserError(
                    f"Drawing needs memory: one of {spare} processes died. Give fewer --workers "
                    "or a smaller --image-size; the same command then resumes."
                )
            steps.step()


def _draw(job: _Job) -> None:
    hospital = find_hospital(job.hospital)
    patient = make_patient(hospital, job.seed, job.patient)
    for exposure in patient.exposures:
        path = job.folder / exposure.name
        if not path.exists():
            stored = render(exposure, job.size, hospital)
            atomic_write_bytes(path, encode(stored, patient, exposure, hospital))


def _labels(people: list[Patient], hospital: Hospital) -> str:
    head = ["image", "patient", "sex", "age", "view", *hospital.labels]
    rows = (
        [e.name, p.identity, p.sex, e.age, e.view]
        + [int(finding in e.findings) for finding in hospital.labels.values()]
        for p in people
        for e in p.exposures
    )
    return rows_as_csv(head, rows)


def _boxes(people: list[Patient], hospital: Hospital, size: int) -> str:
    word = {finding: label for label, finding in hospital.labels.items()}
    rows = (
        [e.name, word[finding], *where]
        for p in people
        for e in p.exposures
        for finding, *where in boxes(e, size, hospital)
        if finding in word
    )
    return rows_as_csv(["image", "label", "x", "y", "width", "height"], rows)
