"""ChestX-ray14: both releases, every layout, lists, boxes, exclusions, adjudicated labels."""

import csv
import gzip
import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data_prep.dataset.prepare import prepare
from data_prep.errors import UserError
from data_prep.readers import nih
from data_prep.readers.nih import read_boxes
from data_prep.readers.shared import rows
from data_prep.readers.shared.selection import without
from data_prep.tables.textfile import read_names
from data_prep.tables.vocabulary import NIH14
from tests.data_prep.readers.archive_trees import NIH_ROWS, nih_table, nih_tree, real_nih_tree
from tests.data_prep.readers.archives import nih_source, write_png

FAST = {"key": b"public", "public": True, "size": 32, "workers": 0, "progress": False}


def facts(source):
    return [(r.key, r.codes, r.patient, r.view, r.sex, r.age, r.split) for r in source.records]


@pytest.mark.parametrize("layout", ["twelve", "one", "loose"])
@pytest.mark.parametrize("first_release", [False, True])
def test_layouts_and_releases_say_the_same(tmp_path, layout, first_release):
    source = nih_source(nih_tree(tmp_path, layout, nih_table(first_release=first_release)))
    assert source.labels == NIH14
    assert facts(source) == [
        (
            image,
            tuple("1" if label in findings.split("|") else "0" for label in NIH14),
            str(patient),
            view,
            sex,
            age,
            "test" if patient == 3 else "train_val",
        )
        for image, findings, patient, age, sex, view in NIH_ROWS
    ]
    assert source.rejected == []
    assert "5 of 5 images of the table are here" in source.notes
    assert "CVPR 2017" in source.citation


def test_gzipped_tables_and_the_newer_release_first(tmp_path):
    nih_tree(tmp_path)
    older = nih_table([(*NIH_ROWS[0][:1], "Mass", *NIH_ROWS[0][2:])], first_release=True)
    (tmp_path / "Data_Entry_2017.csv").write_text(older)
    for name in ("Data_Entry_2017_v2020.csv", "test_list.txt"):
        path = tmp_path / name
        path.with_name(name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    source = nih_source(tmp_path)
    assert len(source.records) == 5
    assert Counter(record.split for record in source.records) == {"train_val": 3, "test": 2}
    assert nih_source(tmp_path, table=tmp_path / "Data_Entry_2017.csv").records[0].codes[4] == "1"


def test_impossible_ages_are_blank_and_counted(tmp_path):
    table = nih_table([(*row[:3], 414, *row[4:]) for row in NIH_ROWS[:2]] + NIH_ROWS[2:], True)
    source = nih_source(nih_tree(tmp_path, table=table))
    assert [record.age for record in source.records] == [None, None, 80, 81, 74]
    assert "age: not an age from 0 to 100, left blank (2 images)" in source.notes


def test_a_partial_download_says_how_much_is_missing(tmp_path, monkeypatch):
    nih_tree(tmp_path)
    for image, *_ in NIH_ROWS[:3]:
        next(tmp_path.rglob(image)).unlink()
    source = nih_source(tmp_path)
    assert [record.key for record in source.records] == ["00000003_000.png", "00000003_001.png"]
    assert "2 of 5 images of the table are here" in source.notes
    assert [reason for _, reason in source.rejected] == [rows.NOT_FOUND] * 3
    monkeypatch.setattr(rows, "LISTED", 2)
    source = nih_source(tmp_path)
    assert source.rejected == []
    assert any(note.startswith("3 images of the table aren't here") for note in source.notes)


def test_no_lists_no_split(tmp_path):
    nih_tree(tmp_path)
    (tmp_path / "train_val_list.txt").unlink()
    (tmp_path / "test_list.txt").unlink()
    source = nih_source(tmp_path)
    assert {record.split for record in source.records} == {""}
    assert any("official split: unknown" in note for note in source.notes)


def test_excluded_images_name_their_list(tmp_path):
    nih_tree(tmp_path / "nih")
    first, second = tmp_path / "rotated.csv", tmp_path / "poor.csv"
    first.write_text("00000002_000.png\n00009999_000.png\n")
    second.write_text("00000002_000.png\r\n00000003_001.png\r\n")
    source = without(nih_source(tmp_path / "nih"), (first, second))
    assert len(source.records) == 3
    assert source.rejected == [
        ("00000002_000.png", "excluded by rotated.csv"),
        ("00000003_001.png", "excluded by poor.csv"),
    ]
    assert "excluded by rotated.csv: 2 names, 1 of them not here" in source.notes


def planted(path, x, y, width, height):
    """A 1024x1024 film, dark but for one box."""
    film = np.zeros((nih.SIDE, nih.SIDE), np.uint8)
    film[y : y + height, x : x + width] = 255
    write_png(path, film)


@pytest.mark.parametrize("pad", [False, True])
def test_boxes_are_where_the_prepared_picture_has_them(tmp_path, pad):
    corners = {"00000001_000.png": (128, 256, 512, 64), "00000003_000.png": (960, 0, 64, 1024)}
    root = nih_tree(tmp_path / "nih", "one")
    lines = ["Image Index,Finding Label,Bbox [x,y,w,h],,,"]
    for (image, box), label in zip(corners.items(), ("Infiltrate", "Mass"), strict=True):
        planted(root / "images" / image, *box)
        lines.append(f"{image},{label}," + ",".join(map(str, box)))
    lines.append("00099999_000.png,Mass,1,2,3,4")
    (root / "BBox_List_2017.csv").write_text("\n".join(lines) + "\n")
    prepare(nih_source(root), tmp_path / "out", **{**FAST, "size": 64}, pad=pad)
    boxes = pd.read_csv(tmp_path / "out" / "boxes.csv")
    assert list(boxes.columns) == ["image", "label", "x", "y", "width", "height"]
    assert list(boxes["label"]) == ["Infiltration", "Mass"]
    for box in boxes.itertuples():
        bright = np.asarray(Image.open(tmp_path / "out" / box.image)) > 127
        down, right = np.nonzero(bright)
        assert (right.min(), right.max() + 1) == (box.x, box.x + box.width)
        assert (down.min(), down.max() + 1) == (box.y, box.y + box.height)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a.png,Mass,1,2,3", "line 2 isn't an image"),
        ("a.png,Mass,1,2,3,wide", "line 2 isn't an image"),
        ("a.png,Masss,1,2,3,4", "'Masss'. Nearest known: Mass"),
        ("a.png,Mass,1000,2,30,4", "outside the 1024x1024"),
    ],
)
def test_boxes_that_are_none(tmp_path, line, words):
    path = tmp_path / "b.csv"
    path.write_text(f"Image Index,Finding Label,Bbox [x,y,w,h],,,\n{line}\n")
    with pytest.raises(UserError, match=words.replace("[", r"\[")):
        read_boxes(path)


def test_adjudicated_labels_are_a_set_of_their_own(tmp_path):
    nih_tree(tmp_path / "nih")
    path = tmp_path / "four.csv"
    path.write_text(
        "Image Index,Fracture,Nodule or mass,Set Id\n"
        "00000003_000.png,YES,NO,test\n00000001_000.png,no,yes,val\n00009999_000.png,NO,NO,val\n"
    )
    source = nih_source(tmp_path / "nih", adjudicated=path)
    assert source.labels == ("Fracture", "Nodule or mass")
    assert [(r.key, r.codes, r.patient, r.split) for r in source.records] == [
        ("00000001_000.png", ("0", "1"), "1", "train_val"),
        ("00000003_000.png", ("1", "0"), "3", "test"),
    ]
    assert source.rejected == []  # the archive's other images aren't asked for
    assert source.boxes is None
    assert "1 rows name no image of the archive" in " ".join(source.notes)
    assert "Radiology 2020" in source.citation


def refuse_table(tmp_path, text):
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text(text)


BAD = {
    "no table": (lambda t: (t / "Data_Entry_2017_v2020.csv").unlink(), "no Data_Entry_2017"),
    "unknown finding": (
        lambda t: refuse_table(t, nih_table().replace("Hernia", "Hernja")),
        "'Hernja'",
    ),
    "another table": (lambda t: refuse_table(t, "a,b\n1,2\n"), "no column 'Image Index'"),
    "one split in both lists": (
        lambda t: (t / "test_list.txt").write_text("00000001_000.png\n"),
        "both official lists",
    ),
    "an empty list": (lambda t: (t / "test_list.txt").write_text("\n"), "names no file"),
    "other images": (
        lambda t: refuse_table(t, nih_table([("x.png", *row[1:]) for row in NIH_ROWS[:1]])),
        "None of the 1 images of the table",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_archives_are_one_line(tmp_path, case):
    spoil, words = BAD[case]
    spoil(nih_tree(tmp_path))
    with pytest.raises(UserError) as error:
        nih_source(tmp_path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_no_such_folder(tmp_path):
    with pytest.raises(UserError, match="There is no folder"):
        nih_source(tmp_path / "nowhere")


@pytest.mark.real
def test_the_whole_real_table(real):
    path = real("metadata", "Data_Entry_2017_v2020.csv.gz")
    lists = {
        split: set(read_names(real("metadata", f"{split}_list.txt.gz")))
        for split in ("train_val", "test")
    }
    table = nih.nih_table(path, lists)
    frame = table.frame
    assert len(frame) == 112_120
    assert frame["image"].is_unique
    assert frame["patient"].nunique() == 30_805
    assert frame["split"].value_counts().to_dict() == {"train_val": 86_524, "test": 25_596}
    by_split = frame.groupby("split")["patient"].unique()
    assert set(by_split["train_val"]).isdisjoint(by_split["test"])
    with gzip.open(path, "rt") as file:
        next(file)
        cells = [line[1] for line in csv.reader(file)]
    for label in NIH14:
        expected = sum(label in cell.split("|") for cell in cells)
        assert frame[label].value_counts().to_dict() == {"1": expected, "0": 112_120 - expected}
    nothing = (frame[list(NIH14)] == "0").all(axis=1).sum()
    assert nothing == cells.count("No Finding")


@pytest.mark.real
def test_the_real_boxes(real):
    boxes = read_boxes(real("metadata", "BBox_List_2017.csv.gz"))
    assert Counter(box.label for box in boxes) == {
        "Atelectasis": 180,
        "Effusion": 153,
        "Cardiomegaly": 146,
        "Infiltration": 123,
        "Pneumonia": 120,
        "Pneumothorax": 98,
        "Mass": 85,
        "Nodule": 79,
    }
    first = boxes[0]
    assert first.key == "00013118_008.png"
    assert first.x * 1024 == pytest.approx(225.084745762712)
    assert first.height * 1024 == pytest.approx(79.1864406779661)


@pytest.mark.real
def test_real_films_in_the_real_layout(tmp_path, real):
    known = real_nih_tree(tmp_path / "nih", real, every=28)
    lists = tuple(
        real("metadata", f"azure_blacklist_{name}.csv")
        for name in ("non_PA_AP_view", "rotated_images", "other_images_with_lower_quality")
    )
    source = nih_source(tmp_path / "nih")
    assert [record.key for record in source.records] == sorted(known["Image Index"])
    assert f"{len(known)} of 112,120 images of the table are here" in source.notes
    assert source.rejected == []
    codes = {record.key: record.codes for record in source.records}
    for row in known.to_dict("records"):
        assert codes[row["Image Index"]] == tuple(str(row[label]) for label in NIH14)
    excluded = {name for path in lists for name in path.read_text().split()}
    without_them = without(source, lists)
    kept = {record.key for record in without_them.records}
    assert kept == set(known["Image Index"]) - excluded
    prepare(without_them, tmp_path / "out", **FAST)
    manifest = pd.read_csv(tmp_path / "out" / "manifest.csv", dtype=str)
    duplicates = pd.read_csv(tmp_path / "out" / "duplicates.csv")
    assert set(manifest["source_id"]) == kept - set(duplicates["dropped"])
    assert set(manifest["patient"]) <= set(known["Patient ID"].astype(str))
    description = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert description["citation"].startswith("Wang X")


@pytest.mark.real
def test_the_real_adjudicated_labels(tmp_path, real):
    path = real("metadata", "google2019_nih-chest-xray-labels.csv.gz")
    archive = nih.nih_table(real("metadata", "Data_Entry_2017_v2020.csv.gz"))
    table = nih.adjudicated_table(path, archive)
    raw = pd.read_csv(path, index_col="Image Index")
    assert table.labels == ("Fracture", "Pneumothorax", "Airspace opacity", "Nodule or mass")
    assert len(table.frame) == len(raw) == 4376
    ours = table.frame.set_index("image")
    for label in table.labels:
        expected = raw[label].map({"YES": "1", "NO": "0"})
        assert (ours[label] == expected.loc[ours.index]).all()
