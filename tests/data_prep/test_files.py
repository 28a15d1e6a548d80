"""Writing in one step: the old file or the whole new one, and nothing beside it."""

import os

import pytest

from data_prep.files import atomic_write_json, atomic_write_text, replacing


def test_the_new_file_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "new" / "x.txt"
    atomic_write_text(path, "one\n")
    atomic_write_text(path, "zwö\n")
    assert path.read_bytes() == "zwö\n".encode()
    assert os.listdir(path.parent) == ["x.txt"]


def test_a_writer_sees_the_ending_it_asks_for(tmp_path):
    with replacing(tmp_path / "model.keras", ".keras") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".keras"
        temporary.write_bytes(b"model")
        assert not (tmp_path / "model.keras").exists()
    assert (tmp_path / "model.keras").read_bytes() == b"model"


def torn_write(path):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError


def test_a_failure_leaves_the_old_file(tmp_path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(RuntimeError):
        torn_write(tmp_path / "x")
    assert (tmp_path / "x").read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        atomic_write_json(tmp_path / "x.json", {"auroc": float("nan")})
    assert not os.listdir(tmp_path)
