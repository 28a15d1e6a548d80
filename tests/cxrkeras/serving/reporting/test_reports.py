"""Structured reports: what they say, whose they are, and that others' readers read them."""

import shutil
import subprocess

import pandas as pd
import pydicom
import pytest

from cxrkeras.cli import main
from cxrkeras.serving.predict import run as prediction
from cxrkeras.serving.reporting import codes, folder
from cxrkeras.serving.reporting.folder import write_reports
from cxrkeras.serving.reporting.said import algorithm_of, digest_of, need, said_of
from cxrkeras.serving.reporting.source import read_source
from cxrkeras.serving.reporting.written import uids
from data_prep.errors import UserError
from tests.cxrkeras.serving.reporting import films
from tests.cxrkeras.serving.reporting.films import FILM, LABELS, answer_on, write_film
from tests.cxrkeras.serving.reporting.standard import errors

highdicom = pytest.importorskip("highdicom", reason="highdicom (extra dicom) isn't installed")


def reported(tmp_path, film, **facts):
    """The report of one film, written and read back by highdicom."""
    (line,) = write_reports(answer_on(tmp_path / "model", film, **facts), tmp_path / "out")
    assert "(1 structured reports" in line
    (path,) = (tmp_path / "out").glob("*.dcm")
    return path, highdicom.sr.srread(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A film, its report's path and the report; not to be changed."""
    folder = tmp_path_factory.mktemp("whole")
    film = write_film(folder / "film.dcm", IssuerOfPatientID="Clinic")
    return film, *reported(folder, film)


def test_a_report_says_what_the_answer_says(whole):
    report = whole[2]
    groups = report.content.get_image_measurement_groups()
    told = [{m.name.value: m.value for m in group.get_measurements()} for group in groups]
    kinds = (codes.PROBABILITY, codes.ADJUSTED, codes.PREVALENCE, codes.THRESHOLD, codes.DECISION)
    probability, adjusted, prevalence, threshold, decision = (one.value for one in kinds)
    assert [one[probability] for one in told] == [0.123457, 0.7, 0.4]
    assert told[1][adjusted] == pytest.approx(0.7 / (0.7 + 0.3 * 4), abs=1e-6)
    assert [one.get(prevalence) for one in told] == [0.2, None, 0.05]
    assert [one.get(threshold) for one in told] == [0.1, None, 0.5]
    decisions = [
        [one.value.meaning for one in g.get_qualitative_evaluations() if one.name.value == decision]
        for g in groups
    ]
    assert decisions == [["Positive"], [], ["Negative"]]
    findings = [(g.finding_type.scheme_designator, g.finding_type.meaning) for g in groups]
    assert findings == [("SCT", "Pleural effusion"), (codes.PRIVATE, "Ödem & Co"), ("SCT", "Mass")]
    assert [g.tracking_identifier for g in groups] == list(LABELS)
    items = report.content[0].ContentSequence
    texts = [item.value for item in items if item.name.value == codes.COMMENT.value]
    assert texts[0] == "Research use only: not for clinical use."
    assert "a remark on the film" in texts
    assert "not for clinical use" in report.SeriesDescription
    everything = {one.value for one in report.iterall() if one.keyword == "TextValue"}
    assert everything > {"cxrkeras", "model: model", "operating point: youden"}
    assert everything > {"threshold from: here", "threshold from: there"}
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")


def test_it_is_of_the_film_s_patient_and_study_and_refers_to_it(whole):
    film, (path, report) = pydicom.dcmread(whole[0]), whole[1:]
    same = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "IssuerOfPatientID")
    for name in (*same, "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber"):
        assert report[name].value == film[name].value
    assert report.get_evidence() == [(films.STUDY, films.SERIES, FILM, film.SOPClassUID)]
    for group in report.content.get_image_measurement_groups():
        (image,) = group.source_images
        assert image.referenced_sop_instance_uid == FILM
    assert FILM not in path.name
    assert not any(secret in path.name for secret in films.SECRETS)


def test_it_is_valid_dicom_and_dcmtk_opens_it(whole, tmp_path):
    pytest.importorskip("dicom_validator", reason="dicom-validator (extra test) isn't installed")
    path, report = whole[1], pydicom.dcmread(whole[1])
    assert errors(path) == []
    del report.CompletionFlag, report.ContentSequence[1].ValueType
    report.save_as(tmp_path / "spoilt.dcm")
    assert {line.split()[-2] for line in errors(tmp_path / "spoilt.dcm")} >= {
        "CompletionFlag",
        "ValueType",
    }
    if not shutil.which("dsrdump"):
        pytest.skip("dsrdump (dcmtk) isn't installed")
    done = subprocess.run(["dsrdump", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"Probability")="0.123457" (1,UCUM,"no units")' in done.stdout
    assert not [line for line in done.stderr.splitlines() if line.startswith("E:")]


@pytest.mark.parametrize(
    ("characters", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 192", "Иванов^Иван"),
        ("ISO_IR 100", "OnlyOneName"),
    ],
)
def test_names_in_any_characters_stay_the_same(tmp_path, characters, name):
    film = write_film(tmp_path / "f.dcm", SpecificCharacterSet=characters, PatientName=name)
    _, report = reported(tmp_path, film)
    assert str(report.PatientName) == name


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientName": None, "PatientID": None, "PatientBirthDate": None, "PatientSex": None},
        {
            "PatientBirthDate": "19641399",
            "PatientSex": "W",
            "StudyDate": "soon",
            "StudyTime": "25h",
            "AccessionNumber": "a number of more than sixteen characters",
        },
    ],
)
def test_what_a_header_lacks_or_has_wrong_is_left_empty(tmp_path, changes):
    pytest.importorskip("dicom_validator", reason="dicom-validator (extra test) isn't installed")
    path, report = reported(tmp_path, write_film(tmp_path / "film.dcm", **changes))
    assert errors(path) == []
    assert not any(report[name].value for name in changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"StudyInstanceUID": None}, "its header has no valid StudyInstanceUID"),
        ({"SeriesInstanceUID": "Erika"}, "its header has no valid SeriesInstanceUID"),
        ({"SOPClassUID": "1.2.3"}, "its header can't be taken over into a DICOM object"),
    ],
)
def test_a_film_that_can_not_be_referred_to_is_refused_in_a_line(
    tmp_path, caplog, capfd, changes, reason
):
    film = write_film(tmp_path / "film.dcm", **changes)
    answer = answer_on(tmp_path / "model", film)
    ((_, report, found),) = folder._write(answer, tmp_path / "out", ["report"])
    assert (report, found) == ("", reason)
    said = capfd.readouterr()
    assert (caplog.text, said.out, said.err) == ("", "", "")
    assert not (tmp_path / "out").exists()


def test_the_same_answer_has_the_same_uids_and_another_has_others(tmp_path):
    film = write_film(tmp_path / "film.dcm")

    def found(**changes):
        answer = answer_on(tmp_path / "model", film, **changes)
        algorithm, said = algorithm_of(answer.card, answer.rule), said_of(answer, 0)
        of = uids(read_source(film), algorithm, "findings", digest_of(said, ()))
        return of["series_instance_uid"], of["sop_instance_uid"]

    first = found()
    assert found() == first
    assert found(probability=(0.1234568, 0.7, 0.4)) == first  # equal in all that is written
    again = found(probability=(0.2, 0.7, 0.4))
    assert (again[0] == first[0], again[1] == first[1]) == (True, False)
    assert found(trained_on="theirs")[0] != first[0]
    assert all(pydicom.uid.UID(uid).is_valid and len(uid) <= 64 for uid in first)


def test_a_day_that_there_is_not_is_left_empty(tmp_path):
    days = {"PatientBirthDate": "19700230", "StudyDate": "20230229"}
    source = read_source(write_film(tmp_path / "film.dcm", **days, StudyTime="235960"))
    assert [source.header[name].value for name in (*days, "StudyTime")] == ["", "", "235960"]


def test_what_has_several_values_where_one_is_allowed_is_left_empty(tmp_path):
    names = ("PatientName", "PatientID", "AccessionNumber")
    film = write_film(tmp_path / "film.dcm", **{name: ["A", "B"] for name in names})
    source = read_source(film)
    assert [source.header[name].value for name in names] == ["", "", ""]
    assert "A" not in repr(source)


def test_the_folder_lists_all_films_and_only_its_own_files_go(tmp_path, monkeypatch):
    listed = [write_film(tmp_path / "a.dcm"), tmp_path / "b.png"]
    listed[1].write_bytes(b"\x89PNG\r\n\x1a\n")
    out = tmp_path / "out"
    lines = list(write_reports(answer_on(tmp_path / "model", *listed), out))
    assert lines[0].endswith("b.png: it isn't a DICOM file")
    table = pd.read_csv(out / "reports.csv", keep_default_na=False)
    assert table["file"].tolist() == list(map(str, listed))
    assert (out / table["report"][0]).is_file()
    assert table["reason"].tolist() == ["", "it isn't a DICOM file"]
    (out / "notes.txt").write_text("keep")
    other = write_film(tmp_path / "c.dcm", SOPInstanceUID="1.2.3.4.5.7")
    list(write_reports(answer_on(tmp_path / "model", other), out))
    assert sorted(path.suffix for path in out.iterdir()) == [".csv", ".dcm", ".txt"]
    monkeypatch.setattr(folder, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(UserError, match="can't be written: full"):
        list(write_reports(answer_on(tmp_path / "model", other), out))


def test_predict_writes_them_beside_the_rest_and_tells_nobody_s_name(tmp_path, capsys, monkeypatch):
    pytest.importorskip("fhir.resources", reason="fhir.resources (extra fhir) isn't installed")
    film = write_film(tmp_path / "film.dcm")
    answer = answer_on(tmp_path / "model", film)
    monkeypatch.setattr(prediction, "predict_words", lambda *_, **__: answer)
    monkeypatch.setattr("cxrkeras.serving.predictor.read.read_card", lambda _: answer.card)
    sr, fhir = tmp_path / "sr", tmp_path / "o.json"
    words = ["predict", str(tmp_path / "model"), str(film), "--fhir", str(fhir), "--dicom", str(sr)]

    def said(*more, code=0):
        with pytest.raises(SystemExit) as end:
            main([*words, *more])
        assert end.value.code == code
        told = capsys.readouterr()
        assert not any(secret in told.out + told.err for secret in films.SECRETS)
        return told

    out = said().out
    assert f"Written: {sr} (1 structured reports" in out
    assert f"Written: {fhir}" in out
    assert f"--dicom {sr} holds earlier results" in said(code=1).err
    assert "Written" in said("--overwrite", "--json").err
    (sr / "reports.csv").unlink()
    assert "--dicom must be a new or empty folder" in said("--overwrite", code=1).err
    words[3:] = ["--fhir", "o.txt"]
    assert "--fhir must be FILE.json" in said(code=2).err


def test_a_missing_package_is_named_with_the_extra_that_brings_it():
    with pytest.raises(UserError, match=r"--dicom needs nowhere.*pip install 'cxrkeras\[dicom\]'"):
        need("nowhere", "dicom", "--dicom")


@pytest.mark.real
def test_reports_of_real_films_are_valid(real, tmp_path):
    pytest.importorskip("dicom_validator", reason="dicom-validator (extra test) isn't installed")
    found = sorted(real("dicom", "chest").glob("*.dcm"))[::3]  # writing one takes a while
    rows = list(write_reports(answer_on(tmp_path / "model", *found), tmp_path / "out"))
    written = sorted((tmp_path / "out").glob("*.dcm"))
    assert f"({len(written)} structured reports" in rows[-1]
    assert written
    for path in written:
        assert errors(path) == []
