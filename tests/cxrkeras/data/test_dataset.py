"""A prepared dataset as it is read: codes, refusals, and what identifies it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.data.dataset import PreparedDataset, load_dataset
from data_prep.errors import UserError


def refusal(root) -> str:
    with pytest.raises(UserError) as caught:
        load_dataset(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit(root, old: str, new: str) -> None:
    manifest = root / "manifest.csv"
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new, 1))


def test_it_is_read_as_it_was_written(prepared):
    dataset = load_dataset(prepared)
    assert len(dataset) == 5
    assert dataset.labels == ("Effusion", "Nodule, small")
    assert dataset.image_size == 48
    assert dataset.patients.tolist() == ["p0", "p0", "p1", "p1", "p2"]
    nan = np.nan
    np.testing.assert_array_equal(
        dataset.codes, np.float32([[1, 0], [0, -1], [nan, 1], [-1, nan], [0, 0]])
    )
    assert dataset.codes.dtype == np.float32
    assert [Path(path).read_bytes()[:4] for path in dataset.paths] == [b"\x89PNG"] * 5


def test_what_prep_writes_can_be_read(tmp_path):
    from PIL import Image

    from data_prep.dataset.prepare import prepare
    from data_prep.readers.shared.records import Record, Source

    records = []
    for number, codes in enumerate([("1", ""), ("0", "-1")]):
        path = tmp_path / f"{number}.png"
        pixels = np.random.default_rng(number).integers(0, 256, (40, 40), np.uint8)
        Image.fromarray(pixels).save(path)
        records.append(Record(path, path.name, codes, patient=f"Ann {number}"))
    source = Source("two", ("A", "B"), records, [])
    prepare(source, tmp_path / "out", size=32, key=bytes(32), workers=1, progress=False)
    dataset = load_dataset(tmp_path / "out")
    assert (dataset.name, dataset.labels, dataset.image_size) == ("two", ("A", "B"), 32)
    np.testing.assert_array_equal(dataset.codes, np.float32([[1, np.nan], [0, -1]]))
    assert len(set(dataset.patients)) == 2
    assert all(len(patient) == 16 for patient in dataset.patients)


@pytest.mark.parametrize("value", ["2", "yes", "1.0", "nan", "-"])
def test_other_codes_are_refused_with_their_place(prepared, value):
    edit(prepared, ",0,-1", f",0,{value}")
    message = refusal(prepared)
    assert repr(value) in message
    assert "'Nodule, small', row 3 " in message


@pytest.mark.parametrize("column", ["image", "patient", "sha256", "Effusion"])
def test_a_missing_column_is_named(prepared, column):
    edit(prepared, column, "other")
    assert f"lacks the columns {column}." in refusal(prepared)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("images/1.png", "../../x.png", "Received: '../../x.png'"),
        ("images/1.png", "/etc/passwd", "Received: '/etc/passwd'"),
        ("images/1.png", "", "Received: ''"),
        ("images/1.png", "images/0.png", "images/0.png more than once"),
        (",0,-1", ",0", "manifest.csv"),
        ('"Effusion","Nodule, small"', '"Effusion","Effusion"', "Effusion"),
    ],
)
def test_a_damaged_manifest_is_refused(prepared, old, new, message):
    edit(prepared, old, new)
    assert message in refusal(prepared)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "isn't JSON"),
        ("{", "isn't JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "must be a table. Received: a list of 0"),
        ("{}", "name is missing"),
        ('{"name": "x", "labels": null, "image_size": 3}', "labels must be a list"),
        ('{"name": "x", "labels": ["A", "A"], "image_size": 3}', "each once"),
        ('{"name": "x", "labels": ["A"], "image_size": 1e999}', "image_size must be"),
    ],
)
def test_a_damaged_description_is_refused(prepared, text, why):
    (prepared / "dataset.json").write_text(text)
    assert why in refusal(prepared)


def test_a_dataset_without_labels_images_or_files_is_refused(prepared, tmp_path):
    assert "Make one with `cxrkeras prep`" in refusal(tmp_path / "absent")
    manifest = prepared / "manifest.csv"
    manifest.write_text(manifest.read_text().splitlines()[0] + "\n")
    assert "lists no image" in refusal(prepared)
    facts = json.loads((prepared / "dataset.json").read_text())
    (prepared / "dataset.json").write_text(json.dumps({**facts, "labels": []}))
    assert "labels must name 1 to" in refusal(prepared)


def test_the_fingerprint_does_not_depend_on_the_folder(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "elsewhere")
    moved = load_dataset(tmp_path / "elsewhere")
    assert moved.fingerprint == load_dataset(prepared).fingerprint
    assert len(moved.fingerprint) == 16


@pytest.mark.parametrize(
    ("old", "new"),
    [(",0,-1", ",0,"), (",p1,", ",p9,"), ("images/4", "images/5"), ("Effusion", "Edema")],
)
def test_the_fingerprint_changes_with_the_content(prepared, old, new):
    before = load_dataset(prepared).fingerprint
    edit(prepared, old, new)
    facts = (prepared / "dataset.json").read_text().replace(old, new)
    (prepared / "dataset.json").write_text(facts)
    assert load_dataset(prepared).fingerprint != before


names = st.lists(st.text(max_size=3), min_size=2, max_size=2)


def dataset_of(images, patients) -> PreparedDataset:
    return PreparedDataset(
        None,
        "x",
        ("A",),
        np.array(images),
        np.array(patients),
        np.zeros((2, 1)),
        np.array(["a", "b"]),
        np.array([["c", "e"], ["d", "f"]]),
        np.array(["", ""]),
        8,
        np.arange(2),
        "",
    )


@given(names, names, names, names)
def test_different_columns_never_share_a_fingerprint(images, patients, others, other_patients):
    one, two = dataset_of(images, patients), dataset_of(others, other_patients)
    same = [a.tolist() for a in (one.images, one.patients)] == [
        a.tolist() for a in (two.images, two.patients)
    ]
    assert (one.fingerprint == two.fingerprint) == same


def test_two_columns_are_not_confused():
    one = dataset_of(["a", "b"], ["cd", "e"])
    two = dataset_of(["a", "bc"], ["d", "e"])
    assert one.fingerprint != two.fingerprint


def test_a_subset_by_mask_or_index(prepared):
    dataset = load_dataset(prepared)
    by_mask = dataset.subset(np.array([True, False, True, False, False]))
    by_index = dataset.subset(np.array([0, 2]))
    assert by_mask.images.tolist() == ["images/0.png", "images/2.png"]
    assert by_mask.fingerprint == by_index.fingerprint != dataset.fingerprint
    np.testing.assert_array_equal(by_mask.codes, dataset.codes[[0, 2]])
