"""What a model says of films as FHIR Observations: one for each film and label, in one Bundle.

Source: HL7 FHIR R4 (4.0.1), Observation, Device and Bundle, which R4B (4.3.0) left as they were.
They are checked by fhir.resources' models of R4B before they are written.
"""

import datetime
import json
from collections.abc import Iterator
from pathlib import Path

from cxrkeras.serving.predict.answers import NOTICE
from cxrkeras.serving.predict.predict import Answer
from cxrkeras.serving.reporting import codes
from cxrkeras.serving.reporting.codes import Coded
from cxrkeras.serving.reporting.said import (
    NOBODY,
    Algorithm,
    Said,
    algorithm_of,
    digest_of,
    remarks_of,
    said_of,
    uid_of,
    uuid_of,
)
from cxrkeras.serving.reporting.source import Source, read_source
from data_prep.dataset.identity import keyed_hash, load_key
from data_prep.errors import RejectedFile
from data_prep.filenames import printable

EXTRA = ("fhir.resources", "fhir")
_SCHEMES = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    codes.PRIVATE: f"urn:oid:{uid_of('scheme')}",
}
_PATIENTS = f"urn:oid:{uid_of('keyed hashes of patients')}"
_TERMS = "http://terminology.hl7.org/CodeSystem"
_UNITS = "http://unitsofmeasure.org"
_DECISIONS = {True: ("POS", "Positive"), False: ("NEG", "Negative")}


def as_fhir(answer: Answer, key_file: Path | None = None) -> str:
    """A Bundle of type collection as JSON: the Device, then Observations, all preliminary.

    A DICOM film's Observations name its patient by the keyed hash that `cxrkeras prep` gives, and
    its study and film by their UIDs; those of other films name the file.

    Args:
        answer: on the films.
        key_file: of the secret key; see `identity.load_key`.

    Raises:
        UserError: the key can't be read or made.
    """
    from fhir.resources.R4B.bundle import Bundle

    algorithm = algorithm_of(answer.card, answer.rule, answer.calibration)
    resources = [_device(algorithm, answer)]
    key = None
    for number in answer.readable:
        row, said = answer.rows[number], said_of(answer, number)
        try:
            film = read_source(row.path)
            key = key or load_key(key_file)
            about = _about_dicom(film, key)
        except RejectedFile:
            about = {"derivedFrom": [{"display": printable(row.path.name)}]}
        resources += _observations(said, remarks_of(answer, number), algorithm, about)
    # Of two copies of a film that were given, one is told: a Bundle's entries differ in their URLs.
    told = {f"urn:uuid:{one['id']}": one for one in resources}
    entries = [{"fullUrl": url, "resource": one} for url, one in told.items()]
    bundle = {"resourceType": "Bundle", "type": "collection", "timestamp": _now(), "entry": entries}
    Bundle.model_validate(bundle)
    return json.dumps(bundle, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def is_fhir(path: Path) -> bool:
    """Whether `as_fhir` wrote a file."""
    try:
        with path.open(encoding="utf-8") as file:
            begin = file.read(2000)
    except (OSError, UnicodeDecodeError):
        return False
    return '"resourceType": "Bundle"' in begin and NOTICE in begin


def _device(algorithm: Algorithm, answer: Answer) -> dict:
    return {
        "resourceType": "Device",
        "id": str(uuid_of("fhir", algorithm.uid)),
        "status": "active",
        "manufacturer": algorithm.name,
        "deviceName": [{"name": algorithm.parameters[0], "type": "model-name"}],
        "version": [{"value": algorithm.version}],
        "note": _notes(NOTICE, NOBODY, *algorithm.parameters, *answer.doubts),
    }


def _about_dicom(film: Source, key: bytes) -> dict:
    """Whose film it is, by a pseudonym, and which, by its UIDs."""
    found = {
        "derivedFrom": [
            _instance("ImagingStudy", film.header.StudyInstanceUID),
            _instance("Media", film.header.SOPInstanceUID),
        ]
    }
    if film.patient:
        hashed = keyed_hash(key, "patient", film.patient)
        found["subject"] = {
            "type": "Patient",
            "identifier": {"system": _PATIENTS, "value": hashed},
        }
    return found


def _instance(kind: str, uid: str) -> dict:
    return {"type": kind, "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}}


def _observations(
    said: tuple[Said, ...], remarks: tuple[str, ...], algorithm: Algorithm, about: dict
) -> Iterator[dict]:
    film = json.dumps(about["derivedFrom"])
    for one in said:
        content = digest_of((one,), remarks)
        yield {
            "resourceType": "Observation",
            "id": str(uuid_of("fhir", algorithm.uid, film, content)),
            "status": "preliminary",
            "category": [
                {"coding": [{"system": f"{_TERMS}/observation-category", "code": "imaging"}]}
            ],
            "code": {**_concept(one.code), "text": one.label},
            **about,
            "device": {"reference": f"urn:uuid:{uuid_of('fhir', algorithm.uid)}"},
            "method": {"text": "Probability by a classifier of chest radiographs"},
            "valueQuantity": _quantity(one.probability),
            **_decision(one),
            **_components(one),
            "note": _notes(NOTICE, NOBODY, *remarks, one.doubt),
        }


def _components(said: Said) -> dict:
    more = (
        (codes.ADJUSTED, said.adjusted),
        (codes.CALIBRATED, said.calibrated),
        (codes.PREVALENCE, said.prevalence),
    )
    known = [(coded, value) for coded, value in more if value is not None]
    told = [{"code": _concept(name), "valueQuantity": _quantity(value)} for name, value in known]
    return {"component": told} if told else {}  # FHIR has no empty lists


def _decision(said: Said) -> dict:
    if said.threshold is None:
        return {}
    text = f"positive above; operating point from: {said.origin}"
    told = {"referenceRange": [{"high": _quantity(said.threshold), "text": text}]}
    if said.positive is not None:
        code, display = _DECISIONS[said.positive]
        coding = {"system": f"{_TERMS}/v3-ObservationInterpretation", "code": code}
        told["interpretation"] = [{"coding": [coding | {"display": display}]}]
    return told


def _concept(coded: Coded) -> dict:
    system = _SCHEMES[coded.scheme]
    return {"coding": [{"system": system, "code": coded.value, "display": coded.meaning}]}


def _quantity(value: float) -> dict:
    return {"value": value, "unit": "1", "system": _UNITS, "code": "1"}


def _notes(*texts: str) -> list[dict]:
    return [{"text": text} for text in texts if text]


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
