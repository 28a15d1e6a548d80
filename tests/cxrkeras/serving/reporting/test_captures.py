"""Secondary Captures: the picture that was drawn, whose it is, and how it says so."""

import io
import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from PIL import Image

from cxrkeras.serving.reporting.captures import Captures
from cxrkeras.serving.reporting.said import algorithm_of
from tests.cxrkeras.serving.reporting.films import FILM, LABELS, STUDY, answer_on, write_film
from tests.cxrkeras.serving.reporting.standard import errors

pytest.importorskip("highdicom", reason="highdicom (extra dicom) isn't installed")
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (31, 20, 3)).astype(np.uint8))


def captured(tmp_path, name="a.dcm", **changes):
    """The capture of one label's picture."""
    film = write_film(tmp_path / "film.dcm", **changes)
    answer = answer_on(tmp_path / "model", film)
    captures = Captures(algorithm_of(answer.card, answer.rule), LABELS)
    captures.of_map("gradcam")
    captures.add(film, 2, {tmp_path / name: (LABELS[1], PICTURE)}, "Grad-CAM by the model")
    assert captures.refused == []
    return pydicom.dcmread(tmp_path / name)


def test_it_holds_the_picture_and_where_it_comes_from(tmp_path):
    made = captured(tmp_path)
    assert np.array_equal(made.pixel_array, np.asarray(PICTURE))
    assert (made.PatientName, made.PatientID) == ("Mustermann^Erika", "4711")
    assert (made.StudyInstanceUID, made.AccessionNumber) == (STUDY, "A17")
    (source,) = made.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == FILM
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert made.InstanceNumber == 2 * len(LABELS) + 1 + 1
    for said in ("Ödem & Co", "Grad-CAM by the model", "model: model", "map: gradcam"):
        assert said in made.DerivationDescription
    assert "not for clinical use" in made.ImageComments
    assert "not for clinical use" in made.SeriesDescription
    assert captured(tmp_path, "again.dcm").SOPInstanceUID == made.SOPInstanceUID


@pytest.mark.parametrize(
    ("changes", "annotated", "orientation"),
    [
        ({"BurnedInAnnotation": "NO", "PatientOrientation": ["R", "F"]}, "NO", ["R", "F"]),
        ({"BurnedInAnnotation": "YES", "PatientOrientation": ["up", "F"]}, "YES", None),
        ({}, "YES", None),
    ],
)
def test_it_is_valid_and_never_claims_more_than_the_film(tmp_path, changes, annotated, orientation):
    pytest.importorskip("dicom_validator", reason="dicom-validator (extra test) isn't installed")
    made = captured(tmp_path, **changes)
    assert errors(tmp_path / "a.dcm") == []
    assert (made.BurnedInAnnotation, made.PatientOrientation or None) == (annotated, orientation)
    del made.ConversionType
    made.save_as(tmp_path / "spoilt.dcm")
    assert [line.split()[-2:] for line in errors(tmp_path / "spoilt.dcm")] == [
        ["ConversionType", "TagMissing"]
    ]


@pytest.mark.skipif(not shutil.which("dcmj2pnm"), reason="dcmj2pnm (dcmtk) isn't installed")
def test_dcmtk_draws_the_same_picture(tmp_path):
    captured(tmp_path)
    done = subprocess.run(["dcmdump", tmp_path / "a.dcm"], capture_output=True)
    assert done.returncode == 0, done.stderr
    drawn = subprocess.run(["dcmj2pnm", "--write-raw-pnm", tmp_path / "a.dcm"], capture_output=True)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(drawn.stdout))), np.asarray(PICTURE))


def test_a_film_without_a_header_is_counted_and_told(tmp_path):
    film = tmp_path / "film.png"
    film.write_bytes(b"\x89PNG\r\n\x1a\n")
    answer = answer_on(tmp_path / "model", film)
    captures = Captures(algorithm_of(answer.card, answer.rule), LABELS)
    for number in range(2):
        captures.add(film, number, {tmp_path / "a.dcm": (LABELS[0], PICTURE)}, "how")
    assert captures.line().endswith("film.png: it isn't a DICOM file, and 1 more.")
    assert not (tmp_path / "a.dcm").exists()
