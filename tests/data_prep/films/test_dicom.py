"""DICOM files: what is read, what is refused and why, and that nothing personal gets out."""

import logging
import re
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.pixels import compress
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from data_prep.errors import RejectedFile
from data_prep.films.admission import Admission
from data_prep.films.film import read_film
from tests.data_prep.films.synthetic_dicom import BORN, NAME, PATIENT, dicom, lut, save

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
IDENTITY = {"WindowCenter": 2048, "WindowWidth": 4096}
EXTENDED = "transfer syntax JPEG Extended (Process 2 and 4) with 10 bits"

# What each real file becomes: None is read without a warning.
REAL = {
    "chest/1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm": None,
    "chest/RG1_J2KI.dcm": None,
    "chest/RG1_J2KR.dcm": None,
    "chest/RG1_UNCI.dcm": None,
    "chest/test1.dcm": None,
    "chest/test2.dcm": None,
    "chest/test3.dcm": None,
    "chest/test4.dcm": "warning: body part RIBCAGE",
    "codecs/RG3_J2KR.dcm": "body part EXTREMITY",
    "codecs/RG3_JLSL.dcm": "body part EXTREMITY",
    "codecs/RG3_JPLL.dcm": "body part EXTREMITY",
    "codecs/RG3_JPLY.dcm": EXTENDED,
    "codecs/RG3_RLE.dcm": "body part EXTREMITY",
}


def rejection(path, **options):
    with pytest.raises(RejectedFile) as caught:
        read_film(path, **options)
    reason = str(caught.value)
    assert "\n" not in reason
    return reason


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize(("bits", "signed"), [(8, False), (12, False), (12, True), (16, False)])
def test_lossless_syntaxes_give_the_stored_values(tmp_path, syntax, bits, signed):
    stored = (RAMP.astype(np.uint32) * ((1 << bits) - 1) // 4095).astype(np.uint16)
    offset = 1 << (bits - 1) if signed else 0
    dataset = dicom(
        stored.astype(np.int16) - np.int16(offset) if signed else stored,
        bits=bits,
        WindowCenter=(1 << (bits - 1)) - offset,
        WindowWidth=1 << bits,
    )
    if syntax is not None:
        dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
        compress(dataset, syntax)
    film = read_film(save(dataset, tmp_path / "film.dcm"))
    np.testing.assert_allclose(film.pixels, stored / ((1 << bits) - 1), atol=1e-7)


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_each_real_file_is_read_or_refused_for_the_right_reason(real, name):
    path, expected = real("dicom", *name.split("/")), REAL[name]
    if expected is None or expected.startswith("warning"):
        film = read_film(path)
        assert 0 <= film.pixels.min() < film.pixels.max() <= 1
        assert film.header.body_part in ("CHEST", "RIBCAGE")
        found = [f"warning: {line}" for line in film.warnings]
        assert len(found) == (expected is not None)
        assert all(line.startswith(expected) for line in found)
    else:
        assert rejection(path).startswith(expected)


@pytest.mark.real
def test_real_chests_have_dark_lungs_and_a_bright_spine(real):
    for path in sorted(real("dicom", "chest").glob("*.dcm")):
        pixels = read_film(path).pixels
        height, width = pixels.shape
        band = pixels[int(0.35 * height) : int(0.55 * height)]
        column = np.median(band, axis=0)
        spine = column[int(0.44 * width) : int(0.56 * width)].mean()
        lungs = [column[int(a * width) : int((a + 0.12) * width)].mean() for a in (0.22, 0.66)]
        abdomen = np.median(pixels[int(0.85 * height) :, int(0.3 * width) : int(0.6 * width)])
        assert max(lungs) < spine - 0.1, path.name
        assert max(lungs) < abdomen - 0.1, path.name


@pytest.mark.real
def test_real_lossless_codecs_agree_bit_for_bit(real):
    names = ["RG3_J2KR", "RG3_JLSL", "RG3_JPLL", "RG3_RLE"]
    files = [real("dicom", "codecs", f"{name}.dcm") for name in names]
    digests = {read_film(path, admission=Admission(any_body_part=True)).digest for path in files}
    assert len(digests) == 1


@pytest.mark.real
def test_real_lossy_jpeg_2000_equals_its_uncompressed_copy(real):
    """RG1_UNCI was made from the lossy RG1_J2KI; RG1_J2KR is the original, a little different."""
    j2ki, j2kr, unci = (
        read_film(real("dicom", "chest", f"RG1_{name}.dcm")) for name in ("J2KI", "J2KR", "UNCI")
    )
    assert j2ki.digest == unci.digest != j2kr.digest
    assert np.abs(j2kr.pixels - unci.pixels).mean() < 0.5 / 255


@pytest.mark.real
def test_real_air_is_dark(real):
    """The collimated strip beside the neck of RG1 and the air in the corners of two others."""
    rg1 = read_film(real("dicom", "chest", "RG1_UNCI.dcm")).pixels
    assert np.median(rg1[60:200, 20:200]) < 0.35
    jpeg = read_film(next(real("dicom", "chest").glob("1.2.276*"))).pixels
    for corner in (jpeg[:60, :60], jpeg[:60, -60:]):
        assert np.median(corner) < 0.1


@pytest.mark.parametrize(
    ("part", "verdict"),
    [
        ("CHEST", "read"),
        ("Thorax", "read"),
        ("TORAX AP", "read"),
        ("CHEST_TO_PELVIS", "read"),
        ("", "read"),
        (None, "read"),
        ("RIBCAGE", "warned"),
        ("RIB", "warned"),
        ("STERNUM", "warned"),
        ("BRUSTKORB", "warned"),
        ("EXTREMITY", "refused"),
        ("LOWER EXTREMITY", "refused"),
        ("TSPINE", "refused"),
        ("KNEE", "refused"),
        ("ABDOMEN", "refused"),
        ("BREAST", "refused"),
    ],
)
def test_body_parts(tmp_path, part, verdict):
    path = save(dicom(RAMP, BodyPartExamined=part, **IDENTITY), tmp_path / "film.dcm")
    if verdict == "refused":
        assert re.fullmatch(r"(another )?body part[ A-Z]*: not a chest radiograph", rejection(path))
        assert read_film(path, admission=Admission(any_body_part=True)).warnings == ()
    else:
        assert len(read_film(path).warnings) == (verdict == "warned")


def test_a_body_part_with_a_name_behind_it_is_refused_without_either(tmp_path):
    path = save(dicom(RAMP, BodyPartExamined="HAND ZQHAND", **IDENTITY), tmp_path / "film.dcm")
    assert rejection(path) == "another body part: not a chest radiograph"


def test_free_text_as_body_part_is_not_repeated(tmp_path):
    path = save(dicom(RAMP, BodyPartExamined="ZEBEDEE F", **IDENTITY), tmp_path / "film.dcm")
    film = read_film(path)
    assert film.header.body_part == "OTHER"
    assert "ZEBEDEE" not in repr(film) + str(film.warnings)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"Modality": "CT"}, "modality CT"),
        ({"PixelData": None}, "no pixel data"),
        ({"NumberOfFrames": 2, "PixelData": RAMP.tobytes() * 2}, "several frames"),
        ({"Rows": 65535, "Columns": 65535}, "100 million"),
        ({"Rows": 0}, "0 x 64 pixels"),
        ({"Rows": 65}, "can't be decoded"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "32 bits stored"),
        ({"HighBit": 15}, "high bit"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "palette colour"),
        ({"PixelRepresentation": None}, "no usable PixelRepresentation"),
        ({"Rows": None}, "no usable Rows"),
        ({"VOILUTSequence": [lut([1, 2], 0, 17)]}, "malformed LUT"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, fields, reason):
    path = save(dicom(RAMP, **{**IDENTITY, **fields}), tmp_path / "film.dcm")
    assert reason in rejection(path)


def test_blank_film_is_refused(tmp_path):
    path = save(dicom(np.full((32, 32), 77, np.uint16), **IDENTITY), tmp_path / "film.dcm")
    assert "blank" in rejection(path)


def test_a_file_that_only_claims_to_be_dicom_is_refused(tmp_path):
    path = tmp_path / "film.dcm"
    path.write_bytes(b"a letter, not a film" * 50)
    assert "no DICM marker" in rejection(path)


def test_colour_becomes_luminance(tmp_path):
    rng = np.random.default_rng(3)
    rgb = rng.integers(0, 256, (32, 32, 3), np.uint8)
    film = read_film(save(dicom(rgb, bits=8), tmp_path / "rgb.dcm"))
    expected = rgb @ np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(film.pixels, expected, atol=1e-6)
    assert film.warnings == ("colour image: its luminance is used",)
    # Y of YBR_FULL is that same luminance, so grey comes back whatever the colour.
    ybr = rgb.copy()
    ybr[..., 1:] = 128
    path = save(dicom(ybr, bits=8, PhotometricInterpretation="YBR_FULL"), tmp_path / "ybr.dcm")
    np.testing.assert_allclose(read_film(path).pixels, ybr[..., 0] / 255, atol=1 / 255)


@pytest.mark.parametrize(
    ("orientation", "stored_as"),
    [
        (None, lambda x: x),
        (["L", "F"], lambda x: x),
        (["P", "F"], lambda x: x),
        (["L", "R"], lambda x: x),
        (["R", "F"], lambda x: x[:, ::-1]),
        (["R", "H"], lambda x: x[::-1, ::-1]),
        (["LA", "HR"], lambda x: x[::-1]),
        (["F", "L"], lambda x: x.T),
        (["H", "L"], lambda x: x[::-1].T),
        (["F", "R"], lambda x: x[:, ::-1].T),
    ],
)
def test_film_stands_upright_with_the_left_on_the_right(tmp_path, orientation, stored_as):
    upright = RAMP[:40]
    stored = np.ascontiguousarray(stored_as(upright))
    dataset = dicom(stored, PatientOrientation=orientation, **IDENTITY)
    film = read_film(save(dataset, tmp_path / "film.dcm"))
    np.testing.assert_allclose(film.pixels, upright / 4095, atol=1e-7)
    assert bool(film.warnings) == (stored.tobytes() != upright.tobytes())


@pytest.mark.parametrize(
    ("age", "born", "expected"),
    [
        ("058Y", None, 58.0),
        ("62", None, 62.0),
        ("006M", None, 0.5),
        ("030M", None, 2.0),
        ("010D", None, 0.03),
        (None, "19231107", 76.0),
        (None, "1923", None),
        (None, "19231399", None),
        ("999Y", None, None),
        ("old", "20231107", None),
    ],
)
def test_age(tmp_path, age, born, expected):
    dataset = dicom(RAMP, **IDENTITY)
    del dataset.PatientBirthDate
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of the malformed ones
        if age is not None:
            dataset.PatientAge = age
        if born is not None:
            dataset.PatientBirthDate = born
        path = save(dataset, tmp_path / "film.dcm")
    assert read_film(path).header.age == expected


def test_header(tmp_path):
    dataset = dicom(RAMP, PatientSex="?", ViewPosition="ll", **IDENTITY)
    header = read_film(save(dataset, tmp_path / "film.dcm")).header
    assert (header.sex, header.view, header.age, header.body_part) == (None, "LL", 76.0, "CHEST")
    assert (header.patient_id, header.study_uid) == (PATIENT, "1.2.3")
    assert header.sop_uid == dataset.SOPInstanceUID
    assert PATIENT not in repr(header)


def test_nothing_of_the_header_is_said_aloud(tmp_path, capfd, caplog):
    """Values that pydicom warns of and logs, in a file that is read and in one that is not."""
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("ignore")
        odd = dicom(RAMP, PatientAge=NAME, AccessionNumber=PATIENT * 3, **IDENTITY)
        odd.SpecificCharacterSet = NAME
        good = save(odd, tmp_path / "good.dcm")
        bad = tmp_path / "bad.dcm"
        bad.write_bytes(good.read_bytes()[:-500])
        caplog.clear()
        warnings.simplefilter("error")
        said = repr(read_film(good)) + rejection(bad)
    said += caplog.text + "".join(capfd.readouterr())
    for secret in (NAME, "Zebedee", PATIENT, BORN):
        assert secret not in said


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    plain = dicom(RAMP[:32, :32], VOILUTSequence=[lut([0, 9, 4095], 5, 12)], **IDENTITY)
    films = [plain]
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        packed = dicom(RAMP[:32, :32], PixelPaddingValue=3, **IDENTITY)
        packed["PixelData"].VR = "OW"
        compress(packed, syntax)
        films.append(packed)
    return [save(film, folder / f"{n}.dcm").read_bytes() for n, film in enumerate(films)]


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused_never_worse(small_files, tmp_path, data):
    content = bytearray(data.draw(st.sampled_from(small_files)))
    last = len(content) - 1
    changes = st.tuples(st.integers(128, last), st.integers(0, 255))
    for place, value in data.draw(st.lists(changes, max_size=6)):
        content[place] = value
    path = tmp_path / "damaged.dcm"
    path.write_bytes(content[: data.draw(st.integers(1, last + 1))])
    try:
        film = read_film(path)
    except RejectedFile as refused:
        reason = str(refused)
        assert "\n" not in reason
        assert len(reason) < 200
        assert PATIENT not in reason
        assert "Zebedee" not in reason
    else:
        assert film.pixels.ndim == 2
        assert np.isfinite(film.pixels).all()
        assert 0 <= film.pixels.min() < film.pixels.max() <= 1


@pytest.mark.real
@pytest.mark.parametrize("part", [0.001, 0.02, 0.5, 0.99])
def test_truncated_real_files_are_refused(real, tmp_path, part):
    path = tmp_path / "cut.dcm"
    for name in ("test1", "RG1_J2KI"):
        content = real("dicom", "chest", f"{name}.dcm").read_bytes()
        path.write_bytes(content[: int(part * len(content))])
        assert rejection(path)
