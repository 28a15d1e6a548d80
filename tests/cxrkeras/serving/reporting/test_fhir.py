"""FHIR Observations: read by two libraries, one of R4 and one of R4B, and no name in them."""

import json
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from cxrkeras.serving.reporting.fhir import as_fhir, is_fhir
from cxrkeras.serving.reporting.said import said_of
from data_prep.dataset.identity import keyed_hash, load_key
from data_prep.films.dicom import quiet
from data_prep.films.header import read_header
from tests.cxrkeras.serving.reporting import films
from tests.cxrkeras.serving.reporting.films import FILM, LABELS, STUDY, answer_on, write_film

pytest.importorskip("fhir.resources", reason="fhir.resources (extra fhir) isn't installed")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The text on a DICOM film and a picture without a header."""
    folder = tmp_path_factory.mktemp("fhir")
    (folder / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    film = write_film(folder / "a.dcm")
    text = as_fhir(answer_on(folder / "model", film, folder / "b.png"))
    (folder / "o.json").write_text(text, encoding="utf-8")
    assert is_fhir(folder / "o.json")
    return text


def observations(told):
    return [entry["resource"] for entry in json.loads(told)["entry"]][1:]


def test_r4_and_r4b_read_it(told):
    from fhir.resources.R4B.bundle import Bundle

    assert len(Bundle.model_validate_json(told).entry) == 1 + 2 * len(LABELS)
    bundle = pytest.importorskip("fhirclient.models.bundle", reason="fhirclient isn't installed")
    read = bundle.Bundle(json.loads(told), strict=True)  # generated from FHIR 4.0.1
    assert {entry.resource.resource_type for entry in read.entry} == {"Device", "Observation"}
    spoilt = json.loads(told)
    spoilt["entry"][1]["resource"]["probability"] = 0.5
    with pytest.raises(Exception, match="probability"):
        bundle.Bundle(spoilt, strict=True)


def test_a_film_unlike_the_others_and_a_withheld_decision_are_said(tmp_path):
    answer = answer_on(tmp_path / "model", write_film(tmp_path / "a.dcm"))
    held = np.array([[True, False, False]])
    rows = tuple(replace(row, unlike=0.995) for row in answer.rows)
    positive = np.where(held, np.nan, answer.positive)
    caution = replace(answer, rows=rows, withheld=held, positive=positive)
    notes = [[n["text"] for n in one["note"]] for one in observations(as_fhir(caution))]
    assert all(
        any(text.startswith("Unlike the training films: 99.5%") for text in n) for n in notes
    )
    assert ["withheld" in " ".join(n) for n in notes] == [True, False, False]
    assert ["withheld" in one.doubt for one in said_of(caution, 0)] == [True, False, False]
    ids = [{one["id"] for one in observations(as_fhir(one))} for one in (answer, caution)]
    assert not ids[0] & ids[1]


def test_it_says_what_the_answer_says(told):
    first, unknown, negative = observations(told)[: len(LABELS)]
    assert first["status"] == "preliminary"
    assert first["category"][0]["coding"][0]["code"] == "imaging"
    assert first["code"]["coding"][0] == {
        "system": "http://snomed.info/sct", "code": "60046008", "display": "Pleural effusion",
    }  # fmt: skip
    assert first["code"]["text"] == "Effusion"
    assert [one["valueQuantity"]["value"] for one in (first, unknown, negative)] == [
        0.123457, 0.7, 0.4,
    ]  # fmt: skip
    assert first["valueQuantity"]["code"] == "1"
    assert [first["interpretation"][0]["coding"][0]["code"], "NEG"] == [
        "POS", negative["interpretation"][0]["coding"][0]["code"],
    ]  # fmt: skip
    assert first["referenceRange"][0]["high"]["value"] == 0.1
    assert not {"interpretation", "referenceRange"} & set(unknown)
    assert [one["valueQuantity"]["value"] for one in first["component"]][-1] == 0.2
    notes = [note["text"] for note in first["note"]]
    assert "Research use only: not for clinical use." in notes
    assert "a remark on the film" in notes
    device = json.loads(told)["entry"][0]
    assert first["device"]["reference"] == device["fullUrl"]
    assert {"text": "operating point: youden"} in device["resource"]["note"]


def test_a_patient_is_named_by_the_hash_that_prep_gives_alone(told):
    assert not any(secret in told for secret in films.SECRETS)
    of_dicom, of_png = observations(told)[0], observations(told)[-1]
    assert of_dicom["subject"]["identifier"]["value"] == keyed_hash(load_key(), "patient", "4711")
    uids = [one["identifier"]["value"] for one in of_dicom["derivedFrom"]]
    assert uids == [f"urn:oid:{STUDY}", f"urn:oid:{FILM}"]
    assert "subject" not in of_png
    assert of_png["derivedFrom"] == [{"display": "b.png"}]


def test_every_observation_has_an_id_that_stays(told, tmp_path):
    ids = [one["id"] for one in observations(told)]
    assert len(set(ids)) == len(ids)
    film = write_film(tmp_path / "another name.dcm")
    again = as_fhir(answer_on(tmp_path / "model", film))
    assert [one["id"] for one in observations(again)] == ids[: len(LABELS)]


def test_copies_of_a_film_are_told_once(tmp_path):
    copies = [write_film(tmp_path / name) for name in ("a.dcm", "b.dcm")]
    bundle = json.loads(as_fhir(answer_on(tmp_path / "model", *copies)))
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(urls) == len(set(urls)) == 1 + len(LABELS)


@pytest.mark.parametrize("number", [["4711", "B"], "4711" * 20])
def test_a_patient_with_an_invalid_number_has_the_hash_that_prep_gives(tmp_path, number):
    film = write_film(tmp_path / "f.dcm", PatientID=number)
    with quiet():
        known = read_header(pydicom.dcmread(film)).patient_id
    told = observations(as_fhir(answer_on(tmp_path / "model", film)))
    wanted = keyed_hash(load_key(), "patient", known)
    assert {one["subject"]["identifier"]["value"] for one in told} == {wanted}


def test_without_a_prevalence_or_a_distortion_there_is_no_component(tmp_path):
    facts = {"training_prevalence": dict.fromkeys(LABELS), "inflation": None}
    text = as_fhir(answer_on(tmp_path / "model", write_film(tmp_path / "f.dcm"), **facts))
    assert not any("component" in one for one in observations(text))
