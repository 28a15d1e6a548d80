"""The driver: what comes out, what is refused, and that nobody is named."""

import csv
import errno
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from data_prep.dataset.copies.signatures import signature
from data_prep.dataset.identity import keyed_hash
from data_prep.dataset.journal import Journal
from data_prep.dataset.prepare import prepare
from data_prep.errors import RejectedFile, UserError
from data_prep.films.film import pixel_digest, read_film, to_square
from tests.data_prep.films.synthetic_dicom import BORN, NAME, PATIENT
from tests.data_prep.readers.archives import (
    archive,
    contents,
    dicom_archive,
    film,
    table_source,
    write_csv,
    write_dicom,
    write_png,
)

KEY = bytes(range(32))
FAST = {"key": KEY, "size": 32, "workers": 0, "progress": False}


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def source(tmp_path):
    return table_source(*archive(tmp_path / "raw"))


def test_a_dataset_is_as_the_contract_says(tmp_path, source):
    (source.records[5].path).write_bytes(b"no picture")
    done = prepare(source, tmp_path / "out", **FAST)
    out = done.out
    assert sorted(p.name for p in out.iterdir()) == [
        ".prepare", "dataset.json", "duplicates.csv", "images", "manifest.csv", "rejected.csv"
    ]  # fmt: skip
    manifest = rows(out / "manifest.csv")
    header = "image,patient,study,view,sex,age,split,source_id,sha256,prepared,signature,looks"
    assert (out / "manifest.csv").read_text().splitlines()[0] == f"{header},Mass,Nodule"
    assert len(manifest) == 5
    for record, row in zip(source.records, manifest, strict=False):
        raw = read_film(record.path)
        prepared = np.asarray(Image.open(out / row["image"]))
        assert row["sha256"] == raw.digest
        assert (row["prepared"], row["signature"]) == (pixel_digest(prepared), signature(prepared))
        assert np.array_equal(prepared, to_square(raw.pixels, 32))
        assert row["source_id"] == record.key
        assert row["patient"] == keyed_hash(KEY, "patient", record.patient)
        assert (row["Mass"], row["Nodule"]) == record.codes
    assert [row["file"] for row in rows(out / "rejected.csv")] == ["f5.png"]
    description = json.loads((out / "dataset.json").read_text())
    assert description["image_size"] == 32
    assert description["labels"] == ["Mass", "Nodule"]
    counts = description["counts"]
    assert (counts["images"], counts["patients"], counts["rejected"]) == (5, 3, 1)
    assert counts["per_label"]["Mass"] == {"1": 2, "0": 3, "-1": 0, "": 0}
    assert sum(done.rejected.values()) == 1


def test_workers_and_order_of_completion_change_no_byte(tmp_path, source):
    for workers in (0, 2):
        prepare(source, tmp_path / str(workers), **{**FAST, "workers": workers})
    assert contents(tmp_path / "0") == contents(tmp_path / "2")


def test_a_table_none_of_whose_files_is_there_is_refused(tmp_path, source):
    empty = replace(source, records=[], rejected=[("1.png", "no such file")])
    with pytest.raises(UserError, match="No file could be prepared: 1 x no such file"):
        prepare(empty, tmp_path / "out", **FAST)


def test_a_finished_dataset_is_left_alone(tmp_path, source, monkeypatch):
    first = prepare(source, tmp_path / "out", **FAST)
    before = contents(first.out)
    monkeypatch.setattr("data_prep.dataset.prepare.prepare_file", None)
    again = prepare(source, tmp_path / "out", **FAST)
    assert again.already
    assert not first.already
    assert replace(again, already=False) == first
    assert contents(again.out) == before


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"size": 48}, "with different settings: --image-size. "),
        ({"pad": True}, "with different settings: --pad. "),
        ({"public": True}, "with different settings: --public. "),
        ({"near": False}, "with other labels .*--no-near"),
        ({"merge_patients": False}, "with other labels .*--keep-patients"),
    ],
)
def test_a_finished_dataset_of_other_settings_is_refused(tmp_path, source, change, told):
    prepare(source, tmp_path / "out", **FAST)
    before = contents(tmp_path / "out")
    with pytest.raises(UserError, match=told):
        prepare(source, tmp_path / "out", **{**FAST, **change})
    assert contents(tmp_path / "out") == before


def test_a_folder_of_other_things_is_refused(tmp_path, source):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        prepare(source, out, **FAST)
    assert contents(out) == {"thesis.txt": b"mine"}
    with pytest.raises(UserError, match="is a file"):
        prepare(source, out / "thesis.txt", **FAST)


def test_two_runs_at_once_are_kept_apart(tmp_path, source):
    out = tmp_path / "out"
    with Journal(out), pytest.raises(UserError, match="Another preparation"):
        prepare(source, out, **FAST)
    prepare(source, out, **FAST)


def test_if_every_file_is_refused_nothing_is_left(tmp_path, source):
    for record in source.records:
        record.path.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"No file could be prepared: 6 x .*") as error:
        prepare(source, tmp_path / "out", **FAST)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_one_line_and_no_fault_of_the_file(tmp_path, source, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("data_prep.dataset.worker.atomic_write_bytes", full)
        with pytest.raises(UserError, match="No space left") as error:
            prepare(source, tmp_path / "out", **FAST)
    assert "\n" not in str(error.value)
    assert len(rows(prepare(source, tmp_path / "out", **FAST).out / "manifest.csv")) == 6


def test_an_unforeseen_error_rejects_the_file_without_its_words(tmp_path, source, monkeypatch):
    def odd(path, **_):
        if path.name == "f2.png":
            raise RuntimeError(NAME)
        if path.name == "f3.png":
            raise RejectedFile("too odd")
        return read_film(path)

    monkeypatch.setattr("data_prep.films.square.read_film", odd)
    out = prepare(source, tmp_path / "out", **FAST).out
    reasons = {row["file"]: row["reason"] for row in rows(out / "rejected.csv")}
    unforeseen = "can't be read: its reader failed in an unforeseen way"
    assert reasons == {"f2.png": unforeseen, "f3.png": "too odd"}


def test_each_kind_of_duplicate_is_kept_once_and_conflicts_are_told(tmp_path):
    raw = tmp_path / "raw"
    write_dicom(raw / "a.dcm", 1, SOPInstanceUID="1.2.3.4.5")
    write_dicom(raw / "b.dcm", 2, SOPInstanceUID="1.2.3.4.5")
    write_dicom(raw / "c.dcm", 1, SOPInstanceUID="1.2.3.4.6")
    write_png(raw / "d.png", film(3, 256))
    half = Image.fromarray(film(3, 256)).resize((200, 200), Image.Resampling.BILINEAR)
    write_png(raw / "e.png", np.asarray(half))
    write_png(raw / "f.png", film(4, 256))
    table = [["image", "Mass", "Nodule"], ["a.dcm", 1, 0], ["b.dcm", 1, 1], ["c.dcm", 0, 1]]
    table += [["d.png", 0, 0], ["e.png", 0, 0], ["f.png", 0, 0]]
    source = table_source(raw, write_csv(tmp_path / "t.csv", table))
    done = prepare(source, tmp_path / "out", **{**FAST, "size": 256})
    manifest = rows(done.out / "manifest.csv")
    first, third, last = (row["image"] for row in manifest)
    assert (third, last) == ("images/d.png", "images/f.png")
    assert [tuple(row.values()) for row in rows(done.out / "duplicates.csv")] == [
        (first, "b.dcm", "sop", "Nodule", ""),
        (first, "c.dcm", "pixels", "Mass|Nodule", ""),
        (third, "e.png", "near", "", ""),
    ]
    assert done.conflicts == 2
    assert any("a different picture" in note for note in done.description["notes"])
    only_exact = prepare(source, tmp_path / "exact", **{**FAST, "near": False})
    assert only_exact.duplicates == {"sop": 1, "pixels": 1}


def test_images_of_one_name_stay_apart(tmp_path):
    names = ["a/x.png", "b/X.png", "b/y.png", "b/y.tif", "c d/é ü.png", ".z.png", "u/心.png"]
    table = [["image", "Mass"]]
    for number, name in enumerate(names):
        write_png(tmp_path / "raw" / name, film(number))
        table.append([name, 1])
    del table[6]
    source = table_source(tmp_path / "raw", write_csv(tmp_path / "t.csv", table))
    out = prepare(source, tmp_path / "out", **FAST).out
    images = [row["image"] for row in rows(out / "manifest.csv")]
    assert images[:2] == ["images/a__x.png", "images/b__X.png"]
    assert len({image.casefold() for image in images}) == len(images) == 6
    assert all((out / image).exists() for image in images)
    assert all(" " not in image and image.count("/") == 1 for image in images)


def test_no_identifier_of_a_header_is_found_in_any_byte(tmp_path):
    source = dicom_archive(tmp_path / "raw")
    linkage = tmp_path / "private" / "linkage.csv"
    out = prepare(source, tmp_path / "out", linkage=linkage, **FAST).out
    uids = [row["source_id"] for row in rows(out / "manifest.csv")]
    everything = b"".join(name.encode() + b for name, b in contents(out).items()).lower()
    for word in (NAME, *NAME.split("^"), PATIENT, BORN, "1.2.826.0.1.77"):
        assert word.lower().encode() not in everything
    manifest = rows(out / "manifest.csv")
    assert {row["patient"] for row in manifest} == {keyed_hash(KEY, "patient", PATIENT)}
    assert {row["sex"] for row in manifest} == {"F"}
    assert [row["image"] for row in manifest] == [f"images/{uid}.png" for uid in uids]
    assert linkage.stat().st_mode & 0o777 == 0o600
    traced = {row["image"]: row["file"] for row in rows(linkage)}
    assert traced == {
        row["image"]: str(record.path) for row, record in zip(manifest, source.records, strict=True)
    }


def test_a_public_archive_keeps_its_identifiers(tmp_path):
    source = dicom_archive(tmp_path / "raw")
    out = prepare(source, tmp_path / "out", public=True, **FAST).out
    assert {row["patient"] for row in rows(out / "manifest.csv")} == {PATIENT}
    assert {row["study"] for row in rows(out / "manifest.csv")} == {"1.2.826.0.1.77"}
    assert not any(NAME.encode() in content for content in contents(out).values())


def test_file_names_are_hashed_on_request(tmp_path, source):
    out = prepare(source, tmp_path / "out", hash_names=True, **FAST).out
    everything = "".join((*contents(out), (out / "manifest.csv").read_text()))
    assert not any(record.path.name in everything for record in source.records)
    for row in rows(out / "manifest.csv"):
        assert row["image"] == f"images/{row['source_id']}.png"


def test_a_linkage_inside_the_dataset_is_refused_and_one_afterwards_is_written(tmp_path, source):
    with pytest.raises(UserError, match="inside the dataset"):
        prepare(source, tmp_path / "out", linkage=tmp_path / "out" / "link.csv", **FAST)
    assert not (tmp_path / "out").exists()
    prepare(source, tmp_path / "out", **FAST)
    prepare(source, tmp_path / "out", linkage=tmp_path / "link.csv", **FAST)
    assert len(rows(tmp_path / "link.csv")) == 6


def test_images_without_a_patient_stay_without_and_it_is_said(tmp_path, source):
    source = replace(source, records=[replace(r, patient=None) for r in source.records])
    done = prepare(source, tmp_path / "out", **FAST)
    assert done.description["counts"]["patients"] == 0
    assert {row["patient"] for row in rows(done.out / "manifest.csv")} == {""}
    assert any("6 of 6 images have no known patient" in note for note in done.description["notes"])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_public_image_s_identifier_never_leads_out_of_the_folder(tmp_path):
    write_dicom(tmp_path / "raw" / "a.dcm", 0, SOPInstanceUID="../../evil")
    table = write_csv(tmp_path / "t.csv", [["image", "Mass"], ["a.dcm", 1]])
    source = table_source(tmp_path / "raw", table)
    out = prepare(source, tmp_path / "deep" / "out", **FAST, public=True).out
    assert [row["image"] for row in rows(out / "manifest.csv")] == ["images/__..__evil.png"]
    assert not list(tmp_path.glob("**/evil*"))


def test_views_are_kept_by_the_dicom_header_where_the_table_has_none(tmp_path):
    raw = tmp_path / "raw"
    for number, view in enumerate(("PA", "LL", None)):
        write_dicom(
            raw / f"{number}.dcm", number, ViewPosition=view, SOPInstanceUID=f"1.2.{number}"
        )
    table = [["image", "Mass"], ["0.dcm", 1], ["1.dcm", 0], ["2.dcm", 0]]
    source = table_source(raw, write_csv(tmp_path / "t.csv", table))
    out = prepare(source, tmp_path / "out", **FAST, views="frontal").out
    assert [row["view"] for row in rows(out / "manifest.csv")] == ["PA", ""]
    (refused,) = rows(out / "rejected.csv")
    assert refused == {"file": "1.dcm", "reason": "not a frontal view (--views)"}


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (("Pleural\xa0effusion", "Mass"), r"plain blanks .* 'Pleural\\xa0effusion'"),
        (("", "Mass"), "words on one line"),
        (("x" * 501, "Mass"), "500 characters at most"),
        (tuple(f"L{number}" for number in range(1001)), r"1,000 labels at most. Received: 1,001"),
    ],
)
def test_labels_that_training_could_not_read_are_refused_before_anything_is_made(
    tmp_path, source, labels, reason
):
    with pytest.raises(UserError, match=reason):
        prepare(replace(source, labels=labels), tmp_path / "out", **FAST)
    assert not (tmp_path / "out").exists()
