"""The phantoms: physics in closed form, real DICOM, findings in their boxes, repeatability."""

import csv
import dataclasses

import numpy as np
import pydicom
import pytest

from data_prep.errors import UserError
from data_prep.phantom import FINDINGS, physics, write_phantoms
from data_prep.phantom.anatomy import heart_chord, lungs
from data_prep.phantom.cases import make_patient
from data_prep.phantom.geometry import Grid, tube
from data_prep.phantom.hospitals import HOSPITALS
from data_prep.phantom.render import attenuation, boxes, draw_maps, render
from data_prep.phantom.thorax import Thorax, in_lung

TARGET = HOSPITALS["target"]
SIZE = 96


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_phantoms(
        tmp_path_factory.mktemp("phantom"), patients=9, seed=4, size=64, workers=1, progress=False
    )


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def bare(index=0):
    """An exposure without findings, and its patient's seed."""
    exposure = make_patient(TARGET, 11, index).exposures[0]
    return dataclasses.replace(exposure, findings={}, border=(0.0, 0.0, 0.0, 0.0))


# Physics


def test_a_slab_is_stored_as_the_logarithm_of_its_transmission():
    thickness = 10.0
    grid = Grid(64)
    detector = physics.Detector(dose=1.0, scatter=0.3)
    path = physics.attenuation(np.full((64, 64), thickness, np.float32), 0.0, 0.0)
    counts = physics.expected_counts(path, grid, detector)
    expected = 1.3 * np.exp(-0.193 * thickness) * physics.AIR_COUNTS * grid.pixel**2
    np.testing.assert_allclose(counts, expected, rtol=1e-4)
    stored = physics.log_values(counts, bottom=5.0, top=20.0)
    assert np.all(np.abs(stored - round((np.log(expected) - 5) / 15 * 4095)) <= 1)


def test_each_centimetre_lowers_the_logarithm_by_the_coefficient():
    thickness = np.linspace(0, 20, 50)
    counts = 1e7 * np.exp(-physics.attenuation(thickness, 0, 0))
    stored = physics.log_values(counts, 8.0, 17.0)
    slope = np.polyfit(thickness, stored.astype(float), 1)[0]
    assert slope == pytest.approx(-physics.SOFT / 9 * 4095, rel=1e-3)
    assert physics.log_values(np.array([1.0, 1e12]), 8.0, 17.0).tolist() == [0, 4095]


def test_bone_takes_the_place_of_soft_tissue():
    assert physics.attenuation(10.0, 2.0, 0.0) == pytest.approx(8 * physics.SOFT + 2 * physics.BONE)


def test_noise_has_the_variance_of_a_poisson_process():
    counts = np.full((300, 300), 2500.0, np.float32)
    noisy = physics.quantum_noise(counts, np.random.default_rng(0))
    assert noisy.mean() == pytest.approx(2500, rel=1e-3)
    assert noisy.var() == pytest.approx(2500, rel=0.03)


# Geometry


@pytest.mark.parametrize("size", [64, 200])
def test_splat_keeps_the_volume(size):
    grid = Grid(size, zoom=1.1, roll=0.1, shift=(1, -2))
    rng = np.random.default_rng(0)
    x, y, volume = rng.uniform(-8, 8, 500), rng.uniform(-8, 8, 500), rng.random(500)
    area = (grid.pixel / grid.zoom) ** 2
    assert grid.splat(x, y, volume).sum() * area == pytest.approx(volume.sum(), rel=1e-5)


def test_pixels_inverts_body():
    grid = Grid(50, zoom=0.95, roll=-0.2, shift=(0.5, 2))
    column, row = grid.pixels(*grid.body)
    np.testing.assert_allclose(column, np.tile(np.arange(50), (50, 1)), atol=1e-3)
    np.testing.assert_allclose(row, np.tile(np.arange(50)[:, None], (1, 50)), atol=1e-3)


@pytest.mark.parametrize("radius", [0.1, 1.5])
def test_a_tube_has_the_volume_of_a_cylinder(radius):
    grid = Grid(400)
    thickness = tube(grid, np.array([(-12.0, -3.0), (12.0, 5.0)]), radius)
    length = np.hypot(24, 8)
    volume = np.pi * radius**2 * length + 4 / 3 * np.pi * radius**3
    assert thickness.sum() * grid.pixel**2 == pytest.approx(volume, rel=0.1)


# Anatomy


def ratio_of_masks(thorax):
    """Width of the drawn heart over the widest drawn lungs, as a radiologist measures them."""
    grid = Grid(400, field=40)
    heart = np.flatnonzero((heart_chord(thorax, grid) > 0).any(0))
    above = grid.body[1] < thorax.dome + 2.5
    chest = np.flatnonzero(((lungs(thorax, grid) > 0) & above).any(0))
    return np.ptp(heart) / np.ptp(chest)


@pytest.mark.parametrize("index", range(6))
def test_cardiothoracic_ratio_follows_the_finding(index):
    thorax = make_patient(TARGET, 3, index).exposures[0].thorax
    assert ratio_of_masks(thorax) < 0.5
    large = FINDINGS["Cardiomegaly"].sample(np.random.default_rng(index), thorax)
    assert ratio_of_masks(large.shape(thorax)) > 0.5


def test_display_has_dark_lungs_bright_spine_and_black_air():
    exposure = bare()
    display = 1 - render(exposure, SIZE, TARGET) / 4095
    grid = exposure.grid(SIZE, TARGET.field)
    maps, (x, y) = draw_maps(exposure, grid), grid.body
    lung = np.median(display[in_lung(exposure.thorax, x, y, 1.0)])
    liver = np.median(display[(np.abs(x) < 6) & (y > exposure.thorax.dome + 5)])
    air = np.median(display[maps.tissue == 0])
    assert air < 0.1 < lung < 0.6 < 0.7 < liver


def test_the_apex_of_the_heart_points_to_the_viewers_right():
    x, _ = Thorax().heart_outline
    assert x.max() > 1.5 * -x.min() > 0


# Findings


@pytest.mark.parametrize("name", FINDINGS)
@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_finding_changes_the_picture_inside_its_boxes(name, index):
    healthy = bare(index)
    finding = FINDINGS[name].sample(np.random.default_rng(index), healthy.thorax)
    ill = dataclasses.replace(healthy, findings={name: finding})
    change = np.abs(attenuation(ill, SIZE, TARGET) - attenuation(healthy, SIZE, TARGET))
    inside = np.zeros((SIZE, SIZE), bool)
    for _, x, y, width, height in boxes(ill, SIZE, TARGET):
        inside[y : y + height, x : x + width] = True
    assert change[inside].mean() > 4 * change[~inside].mean()
    assert change[inside].max() > 0.05
    assert inside.mean() < 0.5


def test_air_is_darker_fluid_and_metal_brighter():
    healthy = bare()
    before = attenuation(healthy, SIZE, TARGET)
    for name, sign in [("Pneumothorax", -1), ("Effusion", 1), ("Nodule", 1), ("Pacemaker", 1)]:
        finding = FINDINGS[name].sample(np.random.default_rng(0), healthy.thorax)
        ill = dataclasses.replace(healthy, findings={name: finding})
        change = attenuation(ill, SIZE, TARGET) - before
        largest = change.ravel()[np.abs(change).argmax()]
        assert np.sign(largest) == sign, name


@pytest.mark.parametrize("hospital", HOSPITALS)
def test_prevalences_are_those_of_the_hospital(hospital):
    place = HOSPITALS[hospital]
    people = [make_patient(place, 1, index) for index in range(300)]
    for name, prevalence in place.prevalence.items():
        found = np.mean([name in p.exposures[0].findings for p in people])
        assert found == pytest.approx(prevalence, abs=0.03), name
    assert 0.25 < np.mean([len(p.exposures) > 1 for p in people]) < 0.45


def test_about_a_third_of_the_target_images_are_normal():
    people = [make_patient(TARGET, 1, index) for index in range(400)]
    labels = set(TARGET.labels.values())
    normal = np.mean([not labels & set(e.findings) for p in people for e in p.exposures])
    assert 0.28 < normal < 0.42


# Files


def test_the_dicom_files_are_those_of_the_studys_hospital(archive):
    for path in (archive / "dicom").iterdir():
        data = pydicom.dcmread(path)
        assert data.Modality == "DX"
        assert data.BodyPartExamined == "CHEST"
        assert (data.BitsAllocated, data.BitsStored, data.HighBit) == (16, 12, 11)
        assert (data.PhotometricInterpretation, data.PresentationLUTShape) == (
            "MONOCHROME1",
            "INVERSE",
        )
        assert (data.PixelIntensityRelationship, data.PixelIntensityRelationshipSign) == ("LOG", 1)
        assert (data.WindowCenter, data.WindowWidth) == (2048, 4096)
        assert data.ViewPosition in {"PA", "AP"}
        pixels = data.pixel_array
        assert pixels.shape == (64, 64)
        assert pixels.dtype == np.uint16
        assert pixels.max() <= 4095
        assert pixels.std() > 300
        assert data.StudyDate > data.PatientBirthDate


def test_labels_fit_the_files(archive):
    table = rows(archive / "labels.csv")
    assert list(table[0]) == ["image", "patient", "sex", "age", "view", *TARGET.labels]
    assert {r["image"] for r in table} == {p.name for p in (archive / "dicom").iterdir()}
    for row in table:
        data = pydicom.dcmread(archive / "dicom" / row["image"], stop_before_pixels=True)
        assert (data.PatientID, data.PatientSex, data.ViewPosition) == (
            row["patient"],
            row["sex"],
            row["view"],
        )
        assert int(data.PatientAge[:3]) == int(row["age"])
    assert len({r["patient"] for r in table}) == 9 < len(table)


def test_boxes_fit_labels_and_images(archive):
    table = {r["image"]: r for r in rows(archive / "labels.csv")}
    found = set()
    for box in rows(archive / "boxes.csv"):
        x, y, width, height = (int(box[k]) for k in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert width > 0
        assert height > 0
        assert x + width <= 64
        assert y + height <= 64
        assert table[box["image"]][box["label"]] == "1"
        found.add((box["image"], box["label"]))
    ones = {(i, n) for i, r in table.items() for n in TARGET.labels if r[n] == "1"}
    assert ones == found


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_number_of_workers_does_not_change_a_byte(tmp_path):
    common = {"patients": 13, "seed": 2, "size": 32, "progress": False}
    one = write_phantoms(tmp_path / "one", workers=1, **common)
    two = write_phantoms(tmp_path / "two", workers=2, **common)
    assert contents(one) == contents(two)


def test_an_interrupted_run_goes_on_to_the_same_end(archive, tmp_path):
    common = {"patients": 9, "seed": 4, "size": 64, "workers": 1, "progress": False}
    (tmp_path / "dicom").mkdir()
    kept = sorted((archive / "dicom").iterdir())[3:]
    for path in kept:
        (tmp_path / "dicom" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "dicom" / ".T000000_000.dcm.77.tmp").write_bytes(b"torn")
    times = {p.name: (tmp_path / "dicom" / p.name).stat().st_mtime_ns for p in kept}
    write_phantoms(tmp_path, **common)
    assert contents(tmp_path) == contents(archive)
    assert times == {n: (tmp_path / "dicom" / n).stat().st_mtime_ns for n in times}


def test_another_seed_gives_other_pixels_and_the_first_patients_stay(archive, tmp_path):
    other = write_phantoms(tmp_path / "o", patients=1, seed=5, size=64, progress=False)
    same = write_phantoms(tmp_path / "s", patients=1, seed=4, size=64, progress=False)
    name = "T000000_000.dcm"
    read = [pydicom.dcmread(f / "dicom" / name) for f in (archive, other, same)]
    assert read[0].SOPInstanceUID == read[2].SOPInstanceUID != read[1].SOPInstanceUID
    assert np.array_equal(read[0].pixel_array, read[2].pixel_array)
    assert not np.array_equal(read[0].pixel_array, read[1].pixel_array)


@pytest.mark.parametrize("hospital", ["a", "b"])
def test_the_other_hospitals_have_their_own_words(hospital, tmp_path):
    out = write_phantoms(tmp_path, patients=2, seed=1, size=32, hospital=hospital, progress=False)
    columns = list(rows(out / "labels.csv")[0])[5:]
    assert columns == list(HOSPITALS[hospital].labels)
    assert ("Support Devices" in columns) == (hospital == "b")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hospital": "c"}, "hospital"),
        ({"patients": 0}, "patients"),
        ({"size": 5}, "size"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_arguments_are_one_line_and_write_nothing(wrong, message, tmp_path):
    given = {"patients": 1, "seed": 0, "size": 64, "progress": False} | wrong
    with pytest.raises(UserError, match=message) as caught:
        write_phantoms(tmp_path / "out", **given)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="is a file"):
        write_phantoms(tmp_path / "out", patients=1, seed=0, size=64, progress=False)


def test_a_folder_of_another_set_is_left_alone(archive):
    before = contents(archive)
    with pytest.raises(UserError, match="only one set"):
        write_phantoms(archive, patients=9, seed=5, size=64, progress=False)
    assert contents(archive) == before
