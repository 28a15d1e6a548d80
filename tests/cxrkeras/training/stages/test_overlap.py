"""The target's images in a source are left out, however they were prepared, named or encoded."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrkeras.data.dataset import load_dataset
from cxrkeras.runs.sources import Dataset
from cxrkeras.training.stages import overlap
from cxrkeras.training.stages.overlap import without_target
from data_prep.dataset.prepare import prepare
from data_prep.errors import UserError
from data_prep.readers.shared.example import write_dicom
from tests.data_prep.readers.archives import film, table_source, write_csv, write_png

KEYS = {"ours": bytes(range(32)), "theirs": bytes(range(1, 33))}


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def narrow(image: Image.Image) -> Image.Image:
    """A film that is higher than wide, so that padding changes it."""
    width, height = image.size
    return image.crop((width // 10, 0, width - width // 10, height))


def prepared(folder, films: dict[str, Image.Image], *, patients=True, suffix="png", **settings):
    """Films by name, written and prepared; image n is patient n's."""
    raw = folder.with_name(f"{folder.name}-raw")
    raw.mkdir()
    rows = []
    for number, (name, image) in enumerate(films.items()):
        if suffix == "dcm":
            write_dicom(raw / f"{name}.dcm", np.asarray(image))
        else:
            how = {"quality": 60} if suffix == "jpg" else {"compress_level": 1}
            image.save(raw / f"{name}.{suffix}", **how)
        row = {"image": f"{name}.{suffix}", "Mass": number % 2}
        rows.append(row | ({"patient": f"P{name}"} if patients else {}))
    table = raw.with_suffix(".csv")
    pd.DataFrame(rows).to_csv(table, index=False)
    fixed = {"key": KEYS["ours"], "size": 256, "workers": 0, "progress": False}
    prepare(table_source(raw, table, name="films"), folder, **{**fixed, **settings})
    return load_dataset(folder)


def left_in(source, target) -> list[str]:
    return without_target(source, Dataset("s", source.root), target).images.tolist()


@pytest.fixture(scope="module")
def originals(real):
    """24 films as they were released, and 6 other ones."""
    paths = sorted(real("nih_originals").glob("*.png"))
    known = {path.stem[:8] for path in paths}
    others = sorted(real("nih_target", "images").glob("*.png"))[::60]
    others = [path for path in others if path.stem[:8] not in known][:6]
    assert (len(paths), len(others)) == (24, 6)
    groups = ({p.stem: Image.open(p).convert("L") for p in group} for group in (paths, others))
    return tuple(groups)


@pytest.fixture(scope="module")
def real_target(originals, tmp_path_factory):
    """The 24 films, prepared by default. Don't write into it."""
    return prepared(tmp_path_factory.mktemp("real") / "target", originals[0])


WAYS = {
    "other key and stretch": {"key": KEYS["theirs"], "stretch": (0.5, 99.5)},
    "JPEG without patients": {"suffix": "jpg", "patients": False},
    "all at once": {
        "key": KEYS["theirs"],
        "stretch": (2.0, 98.0),
        "suffix": "jpg",
        "patients": False,
        "size": 320,
    },
}


@pytest.mark.real
@pytest.mark.parametrize(
    "way", [pytest.param(w, marks=[pytest.mark.slow] * (w != "all at once")) for w in WAYS]
)
def test_none_of_24_real_films_is_left(originals, real_target, tmp_path, way):
    films, others = originals
    named = {f"x{number}": film for number, film in enumerate(films.values())}
    source = prepared(tmp_path / "source", named | others, **WAYS[way])
    assert left_in(source, real_target) == [f"images/{name}.png" for name in others]


@pytest.mark.real
@pytest.mark.slow
def test_films_that_were_given_anew_as_dicom_are_found(originals, real_target, tmp_path):
    """As RSNA and SIIM-ACR did with ChestX-ray14's."""
    films, others = originals
    source = prepared(tmp_path / "source", films | others, suffix="dcm", patients=False)
    left = without_target(source, Dataset("s", source.root), real_target)
    assert len(source.images) == 30
    assert len(left.images) == len(others) == 6


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("padded", ["source", "target"])
def test_none_of_24_real_films_is_left_where_one_side_is_padded(originals, tmp_path, padded):
    films, others = ({n: narrow(image) for n, image in group.items()} for group in originals)
    target = prepared(tmp_path / "target", films, pad=padded == "target")
    named = {f"x{number}": film for number, film in enumerate(films.values())}
    way = {"suffix": "jpg", "patients": False, "pad": padded == "source"}
    source = prepared(tmp_path / "source", named | others, **way)
    assert left_in(source, target) == [f"images/{name}.png" for name in others]


def pictures(numbers) -> dict[str, Image.Image]:
    """Synthetic films that differ from each other."""
    from scipy.ndimage import gaussian_filter

    films = {}
    for number in numbers:
        noise = gaussian_filter(np.random.default_rng(number).normal(size=(120, 96)), 4)
        films[f"f{number}"] = Image.fromarray(np.uint8(255 * (noise - noise.min()) / np.ptp(noise)))
    return films


@pytest.fixture
def target(tmp_path):
    return prepared(tmp_path / "target", pictures(range(4)))


def test_a_copys_patient_is_the_targets_by_another_name(target, tmp_path):
    source = prepared(tmp_path / "s", pictures(range(3, 8)), suffix="jpg", key=KEYS["theirs"])
    patients = source.patients.copy()
    patients[2] = patients[0]  # of the film that is a copy
    object.__setattr__(source, "patients", patients)
    assert left_in(source, target) == ["images/f4.png", "images/f6.png", "images/f7.png"]


def test_an_unstretched_digest_tells_a_film_whatever_was_done_to_its_grey(target, tmp_path):
    source = prepared(tmp_path / "s", pictures(range(3, 6)), stretch=(5, 80), pad=True, size=64)
    assert source.digests[0] == target.digests[3]


def test_what_was_found_is_kept_for_these_images_and_no_others(target, tmp_path, monkeypatch):
    films = pictures(range(3, 8))
    source = prepared(tmp_path / "s", films, suffix="jpg", patients=False)
    expected = [f"images/f{number}.png" for number in (4, 5, 6, 7)]
    assert left_in(source, target) == expected
    with monkeypatch.context() as patch:
        patch.setattr(overlap, "copies_between", None)  # not asked again
        assert left_in(source, target) == expected
    again = prepared(tmp_path / "t", films, suffix="jpg", patients=False, pad=True)
    assert left_in(again, target) == expected
    other = prepared(tmp_path / "other", pictures(range(4, 6)))
    assert left_in(source, other) == [f"images/f{number}.png" for number in (3, 6, 7)]


@pytest.mark.parametrize("padded", ["source", "target"])
def test_a_copy_is_found_where_one_side_is_padded(tmp_path, padded):
    target = prepared(tmp_path / "target", pictures(range(4)), pad=padded == "target")
    way = {"suffix": "jpg", "patients": False, "pad": padded == "source"}
    source = prepared(tmp_path / "s", pictures(range(3, 6)), **way)
    assert left_in(source, target) == ["images/f4.png", "images/f5.png"]


def test_rows_left_out_decide_the_rest_of_a_source(target, tmp_path):
    source = prepared(tmp_path / "s", pictures(range(3, 8)), suffix="jpg", patients=False)
    kept = without_target(source, Dataset("s", source.root), target)
    assert kept.fingerprint != source.fingerprint


@pytest.mark.parametrize(
    ("way", "warning"),
    [
        ({"patients": False}, "the patients of 4 of its 4 images are unknown"),
        ({"key": KEYS["theirs"]}, "hashed with another key than the target's"),
        ({"pad": True}, "prepared differently from the target (--pad)"),
        ({"stretch": (1.0, 99.0)}, "prepared differently from the target (--stretch)"),
        ({"size": 64}, None),
        ({}, None),
    ],
    ids=str,
)
def test_it_warns_where_images_of_the_targets_patients_may_be_left(
    target, tmp_path, capfd, way, warning
):
    source = prepared(tmp_path / "s", pictures(range(10, 14)), **way)
    capfd.readouterr()
    assert len(left_in(source, target)) == 4
    said = capfd.readouterr().err.replace("\n", " ")
    assert said.count("Warning: source s:") == (warning is not None)
    assert (warning or "") in said


def test_it_warns_where_the_targets_own_patients_are_unknown(tmp_path, capfd):
    target = prepared(tmp_path / "target", pictures(range(4)), patients=False)
    source = prepared(tmp_path / "s", pictures(range(10, 14)))
    left_in(source, target)
    assert "patients of 4 of the target's 4 images are unknown" in capfd.readouterr().err


def test_an_image_that_must_be_compared_but_is_damaged_is_named(target, tmp_path):
    source = prepared(tmp_path / "s", pictures(range(3, 8)), suffix="jpg", patients=False)
    broken = source.root / "images" / "f3.png"
    broken.write_bytes(broken.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"is damaged: .*f3\.png.* --verify") as error:
        left_in(source, target)
    assert "\n" not in str(error.value)


def people(folder, films: dict[str, int], patients: list[str]):
    """Made-up films by name, prepared with these patients."""
    raw = folder.with_name(f"{folder.name}-raw")
    rows = [["image", "patient", "Mass"]]
    for number, (name, patient) in enumerate(zip(films, patients, strict=True)):
        write_png(raw / f"{name}.png", film(films[name]))
        rows.append([f"{name}.png", patient, number % 2])
    table = write_csv(raw.with_suffix(".csv"), rows)
    fixed = {"key": KEYS["ours"], "size": 64, "workers": 0, "progress": False}
    prepare(table_source(raw, table, name="films"), folder, **fixed)
    return load_dataset(folder)


TWICE = {"a": 1, "b": 1, "c": 2}  # the first two are one film: their patients are one


@pytest.mark.parametrize(
    ("source_films", "source_patients", "target_films", "target_patients"),
    [
        # The target made 1 and 2 one; other films of both lie in the source.
        ({"w": 9, "x": 7, "y": 8}, ["1", "2", "9"], TWICE, ["1", "2", "3"]),
        # The source made them one, by either's name; another film of one is the target's.
        ({**TWICE, "y": 8}, ["1", "2", "2", "9"], {"x": 7, "z": 6}, ["2", "5"]),
        ({**TWICE, "y": 8}, ["1", "2", "2", "9"], {"x": 7, "z": 6}, ["1", "5"]),
        # Both merged, but not the same pair.
        ({**TWICE, "y": 8}, ["2", "4", "4", "9"], {"p": 5, "q": 5, "r": 3}, ["1", "4", "1"]),
    ],
)
def test_a_patient_who_was_merged_is_found_by_the_other_name_too(
    tmp_path, source_films, source_patients, target_films, target_patients
):
    source = people(tmp_path / "source", source_films, source_patients)
    target = people(tmp_path / "target", target_films, target_patients)
    assert source.merged or target.merged
    assert left_in(source, target) == ["images/y.png"]
