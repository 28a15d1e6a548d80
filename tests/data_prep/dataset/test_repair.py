"""A finished dataset is mended by the command that made it, to the same bytes, or says why not."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from data_prep.dataset.prepare import prepare
from data_prep.dataset.prepared import read_prepared, without_padding
from data_prep.errors import RejectedFile, UserError
from data_prep.phantom.builtin import builtin_datasets
from tests.data_prep.readers.archives import archive, contents, film, table_source, write_png

KEY = bytes(range(32))
FAST = {"key": KEY, "size": 32, "workers": 0, "progress": False}


@pytest.fixture
def source(tmp_path):
    return table_source(*archive(tmp_path / "raw"))


@pytest.fixture
def out(tmp_path, source):
    return prepare(source, tmp_path / "out", **FAST).out


def lose(path):
    path.unlink()


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    """One bit, the size stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def replace_picture(path):
    """A whole PNG of another picture, filled up to the size of the one before."""
    size = path.stat().st_size
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(path)
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))


@pytest.mark.parametrize("damage", [lose, cut, empty])
def test_the_plain_command_makes_again_what_is_missing_or_cut(out, source, damage):
    before = contents(out)
    for name in ("f1.png", "f4.png"):
        damage(out / "images" / name)
    done = prepare(source, out, **FAST)
    assert (done.already, done.mended, done.verified) == (True, 2, False)
    assert contents(out) == before
    assert prepare(source, out, **FAST).mended == 0


@pytest.mark.parametrize("damage", [flip, replace_picture, lose, cut, empty])
@pytest.mark.parametrize("workers", [0, 2])
def test_verify_makes_again_whatever_is_not_as_it_was(out, source, damage, workers, monkeypatch):
    monkeypatch.setattr("data_prep.dataset.repair._FEW", 2)
    before = contents(out)
    damage(out / "images" / "f2.png")
    done = prepare(source, out, **{**FAST, "workers": workers}, verify=True)
    assert (done.mended, done.verified) == (1, True)
    assert contents(out) == before


def test_all_images_may_be_gone(out, source):
    before = contents(out)
    shutil.rmtree(out / "images")
    assert prepare(source, out, **FAST).mended == 6
    assert contents(out) == before


def test_a_raw_file_that_is_gone_too_is_one_line_and_cured_by_putting_it_back(
    out, source, tmp_path
):
    before = contents(out)
    raw = source.records[2].path
    kept = shutil.copy(raw, tmp_path / "kept.png")
    raw.unlink()
    flip(out / "images" / "f2.png")
    lose(out / "images" / "f3.png")
    # As the command reads it now: the table names a file that isn't there.
    films, table = tmp_path / "raw" / "films", tmp_path / "raw" / "labels.csv"
    for read in (source, table_source(films, table)):
        with pytest.raises(UserError, match=r"1 of 6 prepared .* raw files .* gone") as error:
            prepare(read, out, **FAST, verify=True)
        assert "\n" not in str(error.value)
    assert (out / "images" / "f3.png").read_bytes() == before["images/f3.png"]
    shutil.copy(kept, raw)
    os.utime(raw, (1, 1))  # a backup need not bear the time of the original
    assert prepare(source, out, **FAST, verify=True).mended == 1
    after = contents(out)
    assert after.pop(".prepare/done.json") != before.pop(".prepare/done.json")
    assert after == before
    assert prepare(source, out, **FAST).mended == 0


def test_a_raw_file_that_changed_is_not_taken_for_the_lost_image(out, source):
    lose(out / "images" / "f2.png")
    write_png(source.records[2].path, film(77))
    with pytest.raises(UserError, match="gone, damaged or changed"):
        prepare(source, out, **FAST)
    assert not (out / "images" / "f2.png").exists()


@pytest.fixture
def unpacked_anew(tmp_path):
    """A source with a copy and a damaged file, prepared; then every raw file has another time."""
    films, table = archive(tmp_path / "raw")
    shutil.copy(films / "f0.png", films / "f6.png")
    (films / "f7.png").write_bytes(b"no picture")
    table.write_text(table.read_text() + "f6.png,P-0,0,1\nf7.png,P-9,0,0\n")
    source = table_source(films, table)
    out = prepare(source, tmp_path / "out", **FAST).out
    for record in source.records:
        os.utime(record.path, (1, 1))
    return source, out


def test_an_archive_that_was_unpacked_anew_is_the_same(unpacked_anew, monkeypatch):
    source, out = unpacked_anew
    lose(out / "images" / "f2.png")
    done = prepare(source, out, **FAST)
    assert (done.already, done.mended, done.description["counts"]["images"]) == (True, 1, 6)
    assert [path.name for path in (out / ".prepare").iterdir()] == ["done.json"]
    monkeypatch.setattr("data_prep.dataset.prepare.prepare_file", None)  # nothing is read again
    assert prepare(source, out, **FAST).mended == 0


@pytest.mark.parametrize("number", [2, 6, 7])  # prepared, a copy, refused
def test_another_picture_in_a_raw_file_is_another_call(unpacked_anew, number):
    source, out = unpacked_anew
    write_png(source.records[number].path, film(77))
    before = contents(out)
    with pytest.raises(UserError, match="of other pictures: raw files have changed"):
        prepare(source, out, **FAST)
    assert contents(out) == before


def test_a_repair_that_was_killed_before_its_note_goes_on(out, source):
    note = out / ".prepare" / "done.json"
    before = note.read_bytes()
    lose(out / "images" / "f2.png")
    os.utime(source.records[2].path, (1, 1))
    prepare(source, out, **FAST)
    note.write_bytes(before)
    assert prepare(source, out, **FAST).mended == 0


def test_nothing_is_mended_under_another_call(out, source):
    lose(out / "images" / "f2.png")
    with pytest.raises(UserError, match="dataset with different settings: --image-size, --pad"):
        prepare(source, out, **{**FAST, "size": 48, "pad": True})
    assert not (out / "images" / "f2.png").exists()


def test_it_says_in_what_another_call_differs(out, source):
    calls = {
        "of other files: 1 of its": replace(source, records=source.records[1:]),
        "of the same files, with other labels": replace(source, labels=("Mass", "Other")),
    }
    for words, other in calls.items():
        with pytest.raises(UserError, match=words):
            prepare(other, out, **FAST)
    prepare(calls["of other files: 1 of its"], out.with_name("fewer"), **FAST)
    with pytest.raises(UserError, match=f"without 1 of the {len(source.records)} files"):
        prepare(source, out.with_name("fewer"), **FAST)


def test_a_lost_table_is_told(out, source):
    lose(out / "manifest.csv")
    with pytest.raises(UserError, match=r"has lost manifest\.csv\. Remove that folder"):
        prepare(source, out, **FAST)


def test_a_linkage_is_written_after_a_repair_too(out, source, tmp_path):
    lose(out / "images" / "f2.png")
    prepare(source, out, **FAST, linkage=tmp_path / "linkage.csv")
    assert "f2.png,images/f2.png" in (tmp_path / "linkage.csv").read_text()


def test_the_built_in_data_mend_themselves_and_verify_takes_their_settings(tmp_path):
    folder = tmp_path / "phantoms"
    small = {"patients": 3, "source_patients": 2, "size": 32, "workers": 0, "progress": False}
    target, first, _ = builtin_datasets(folder, **small)
    before = contents(folder)
    images = [next((out / "images").iterdir()) for out in (target, first)]
    lose(images[0])
    builtin_datasets(folder, **small)
    assert contents(folder) == before
    flip(images[1])
    builtin_datasets(folder, **small)
    assert contents(folder) != before
    builtin_datasets(folder, workers=0, progress=False, verify=True)
    assert contents(folder) == before


def test_built_in_data_whose_raw_files_are_gone_mend_themselves_too(tmp_path):
    small = {"patients": 3, "source_patients": 2, "size": 32, "workers": 0, "progress": False}
    target, *_ = builtin_datasets(tmp_path / "phantoms", **small)
    before = contents(target / "images")
    shutil.rmtree(tmp_path / "phantoms" / "raw")
    lose(next((target / "images").iterdir()))
    builtin_datasets(tmp_path / "phantoms", **small)
    assert contents(target / "images") == before


def test_a_dataset_of_an_earlier_version_is_not_called_whole(out, source):
    file = out / ".prepare" / "done.json"
    old = json.loads(file.read_text())
    file.write_text(json.dumps({"request": old["request"], "images": {"id": "images/f0.png"}}))
    with pytest.raises(UserError, match="earlier version"):
        prepare(source, out, **FAST, verify=True)


@pytest.mark.parametrize("cut_off", [5, 12, 20, 200])
def test_every_lost_end_of_a_prepared_image_is_noticed(tmp_path, cut_off):
    path = write_png(tmp_path / "x.png", film(0))
    np.testing.assert_array_equal(read_prepared(path), film(0))
    path.write_bytes(path.read_bytes()[:-cut_off])
    with pytest.raises(RejectedFile, match="damaged"):
        read_prepared(path)


def test_padding_is_left_out_on_one_axis_only():
    square = np.zeros((10, 10), np.uint8)
    square[2:8, 1:10] = 7
    assert without_padding(square).shape == (6, 10)
    assert without_padding(square.T).shape == (10, 6)
    assert without_padding(np.full((4, 4), 3, np.uint8)).shape == (4, 4)
    assert without_padding(np.zeros((4, 4), np.uint8)).shape == (4, 4)


def test_images_that_an_earlier_version_wrote_in_other_bytes_stay_and_are_mended(out, source):
    """Pixels count, not how a PNG packs them."""
    kept = out / ".prepare" / "done.json"
    done = json.loads(kept.read_text())
    for image in done["images"].values():
        path = out / image[0]
        Image.fromarray(read_prepared(path)).save(path)
        image[1] = path.stat().st_size
    kept.write_text(json.dumps(done))
    written = {path: path.read_bytes() for path in (out / "images").iterdir()}
    tables = {name: (out / name).read_bytes() for name in ("manifest.csv", "dataset.json")}
    assert prepare(source, out, **FAST, verify=True).mended == 0
    assert {path: path.read_bytes() for path in written} == written
    lost = out / "images" / "f1.png"
    pixels = read_prepared(lost)
    lose(lost)
    assert prepare(source, out, **FAST).mended == 1
    np.testing.assert_array_equal(read_prepared(lost), pixels)
    assert lost.read_bytes() != written[lost]
    assert prepare(source, out, **FAST, verify=True).mended == 0
    assert {name: (out / name).read_bytes() for name in tables} == tables
