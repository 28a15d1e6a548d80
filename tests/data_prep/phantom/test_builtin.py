"""The built-in data: made once, the same everywhere."""

import csv

import pytest

from data_prep.errors import UserError
from data_prep.phantom.builtin import builtin_datasets
from tests.data_prep.readers.archives import contents

SMALL = {"patients": 3, "source_patients": 2, "size": 32, "workers": 0, "progress": False}


def test_the_builtin_data_are_made_once_and_alike(tmp_path, monkeypatch):
    outs = builtin_datasets(tmp_path / "one", **SMALL)
    assert [out.name for out in outs] == ["target", "hospital_a", "hospital_b"]
    assert contents(tmp_path / "one" / "raw") == contents(_second(tmp_path) / "raw")
    with monkeypatch.context() as patch:
        patch.setattr("data_prep.phantom.builtin.write_phantoms", None)
        patch.setattr("data_prep.phantom.builtin.prepare", None)
        assert builtin_datasets(tmp_path / "one", **SMALL) == outs
    with (outs[0] / "manifest.csv").open(newline="") as file:
        patients = {row["patient"] for row in csv.DictReader(file)}
    assert len(patients) == 3
    assert all(len(patient) == 16 for patient in patients)


def _second(tmp_path):
    builtin_datasets(tmp_path / "two", **SMALL)
    return tmp_path / "two"


def test_the_findings_boxes_follow_the_images(tmp_path):
    out = tmp_path / "one"
    target, *_ = builtin_datasets(out, **SMALL)
    raw, prepared = (_table(folder / "boxes.csv") for folder in (out / "raw" / "target", target))
    assert [_box(row) for row in prepared] == [_box(row) for row in raw]
    positive = {
        (row["image"], label)
        for row in _table(target / "manifest.csv")
        for label in {box["label"] for box in raw}
        if row[label] == "1"
    }
    assert {(row["image"], row["label"]) for row in prepared} == positive


def _table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _box(row):
    return (row["label"], *(float(row[side]) for side in ("x", "y", "width", "height")))


def test_other_settings_and_other_files_are_refused(tmp_path):
    builtin_datasets(tmp_path / "one", **SMALL)
    with pytest.raises(UserError, match="other settings"):
        builtin_datasets(tmp_path / "one", **{**SMALL, "patients": 4})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(UserError, match="other files"):
        builtin_datasets(tmp_path / "mine", **SMALL)
