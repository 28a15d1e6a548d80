"""Two patient numbers with a copy of one film between them: one person, and never in two folds."""

import csv
import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_prep.dataset.copies.duplicates import Duplicate
from data_prep.dataset.persons import persons
from data_prep.dataset.prepare import prepare
from tests.data_prep.readers.archives import (
    contents,
    film,
    table_source,
    write_csv,
    write_dicom,
    write_png,
)

KEY = bytes(range(32))
SIDE = 256


def resized(pixels):
    picture = Image.fromarray(pixels).resize((200, 200), Image.Resampling.BILINEAR)
    return np.asarray(picture)


def archive(folder, order):
    """Patients 97 and 178 share a near-copy, 9 and 5 an equal file; each has films of its own."""
    films = {
        "a.png": ("97", film(0, SIDE)), "b.png": ("97", film(1, SIDE)),
        "c.png": ("178", resized(film(0, SIDE))), "d.png": ("178", film(2, SIDE)),
        "e.png": ("9", film(3, SIDE)), "f.png": ("9", film(4, SIDE)),
        "g.png": ("5", film(3, SIDE)), "h.png": ("5", film(5, SIDE)),
        "i.png": ("", film(6, SIDE)), "j.png": ("41", film(6, SIDE)),
        "k.png": ("41", film(7, SIDE)),
    }  # fmt: skip
    rows = []
    for name in order(list(films)):
        patient, pixels = films[name]
        write_png(folder / "films" / name, pixels)
        rows.append([name, patient, int(name < "f"), int(name > "d")])
    header = ["image", "patient", "Mass", "Nodule"]
    return table_source(
        folder / "films", write_csv(folder / "t.csv", [header, *rows]), name="films"
    )


def prepared(tmp_path, *, order=list, name="out", **options):
    source = archive(tmp_path / f"raw {name}", order)
    options = {"key": KEY, "size": SIDE, "workers": 0, "progress": False, "public": True} | options
    return prepare(source, tmp_path / name, **options)


def table(done, name):
    with (done.out / name).open(newline="") as file:
        return list(csv.DictReader(file))


def patients(done):
    return {row["image"][7:8]: row["patient"] for row in table(done, "manifest.csv")}


def test_they_are_one_patient_by_default(tmp_path):
    done = prepared(tmp_path)
    found = patients(done)
    assert found == dict(
        zip("abdefhik", ["97", "97", "97", "5", "5", "5", "41", "41"], strict=True)
    )
    copies = {(row["dropped"], row["patients"]) for row in table(done, "duplicates.csv")}
    assert copies == {("c.png", "merged"), ("g.png", "merged"), ("j.png", "merged")}
    counts = done.description["counts"]
    assert (counts["patients"], counts["patients_merged"]) == (3, 4)
    (note,) = [note for note in done.description["notes"] if "another patient" in note]
    assert note.startswith("warning: 3 films have a copy under another patient (images/a.png, ")
    assert "4 patient numbers are now 2; see duplicates.csv, and give --keep-patients" in note
    assert not any(number in note for number in ("97", "178", "41"))


def test_another_order_of_the_files_gives_the_same_patients(tmp_path):
    """Another copy is kept then, but each film has the same patient."""
    first = patients(prepared(tmp_path))
    other = patients(prepared(tmp_path, order=lambda names: names[::-1], name="other"))
    names = str.maketrans("cgj", "aei")
    assert {image.translate(names): patient for image, patient in other.items()} == first


def test_the_switch_keeps_them_apart_and_warns(tmp_path):
    done = prepared(tmp_path, merge_patients=False)
    numbers = ["97", "97", "178", "9", "9", "5", "", "41"]
    assert patients(done) == dict(zip("abdefhik", numbers, strict=True))
    words = [row["patients"] for row in table(done, "duplicates.csv")]
    assert words == ["apart"] * 3
    assert done.description["counts"]["patients_apart"] == 4
    assert any(
        "one person may be in two folds" in note and "--merge-patients" in note
        for note in done.description["notes"]
    )


def test_pseudonyms_are_merged_as_numbers_are(tmp_path):
    found = patients(prepared(tmp_path, public=False))
    assert found["a"] == found["b"] == found["d"] != found["e"] == found["h"]
    assert found["i"] == found["k"] != ""


def test_killed_before_the_end_it_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    whole = prepared(tmp_path)
    source = archive(tmp_path / "raw out", list)
    options = {"key": KEY, "size": SIDE, "workers": 0, "progress": False, "public": True}
    with monkeypatch.context() as patch:

        def killed(*_, **__):
            raise KeyboardInterrupt

        patch.setattr("data_prep.dataset.publish.persons", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(source, tmp_path / "again", **options)
    again = prepare(source, tmp_path / "again", **options)
    before, after = contents(whole.out), contents(again.out)
    assert before["manifest.csv"] == after["manifest.csv"]
    assert json.loads(before["dataset.json"])["counts"] == again.description["counts"]


def test_another_picture_under_the_same_uid_proves_nothing(tmp_path):
    for number in range(2):
        uid = {"SOPInstanceUID": "1.2.826.0.1.5", "PatientID": f"P{number}"}
        write_dicom(tmp_path / "raw" / f"{number}.dcm", number, **uid)
    table_of = [["image", "Mass"], ["0.dcm", 1], ["1.dcm", 0]]
    source = table_source(tmp_path / "raw", write_csv(tmp_path / "t.csv", table_of))
    done = prepare(source, tmp_path / "out", key=KEY, size=32, workers=0, progress=False)
    (row,) = table(done, "duplicates.csv")
    assert (row["kind"], row["patients"]) == ("sop", "")
    assert done.description["counts"]["patients_merged"] == 0


PATIENTS = st.lists(st.sampled_from(["", "a", "b", "c", "aa", "d"]), min_size=2, max_size=9)


@given(PATIENTS, st.data())
def test_groups_are_those_that_links_connect(names, data):
    numbers = st.integers(0, len(names) - 1)
    pairs = data.draw(st.lists(st.tuples(numbers, numbers), max_size=6))
    pairs = [tuple(sorted(pair)) for pair in pairs if pair[0] != pair[1]]
    # Of two copies without a patient one is dropped: there is nobody to join.
    pairs = [(one, other) for one, other in pairs if names[one] or names[other]]
    known = dict(enumerate(names))
    found = persons(known, [Duplicate(*p, "near") for p in pairs], lambda _: True, merge=True)
    label = {n: name or f"\0{n}" for n, name in known.items()}  # by repainting, over and over
    for _ in names:
        for one, other in pairs:
            low, high = sorted((label[one], label[other]))
            label = {n: low if name == high else name for n, name in label.items()}
    for one in known:
        for other in known:
            same = found.patients[one] == found.patients[other] != ""
            blank = not found.patients[one] and not found.patients[other]
            assert blank or same == (label[one] == label[other])
        assert found.patients[one] in {name for name in names if name} | {""}


def test_one_number_on_very_many_copies_is_no_matter_of_minutes():
    many = 30_000  # 2 minutes, where each link costs as much as there were before it
    known = {n: f"P{n}" for n in range(many)} | dict.fromkeys(range(many, 2 * many), "ANON")
    copies = [Duplicate(n, many + n, "pixels") for n in range(many)]
    begun = time.process_time()
    found = persons(known, copies, lambda _: True, merge=True)
    assert time.process_time() - begun < 10
    assert (found.people, found.numbers, len(found.aliases)) == (1, many + 1, many)
