"""CheXpert: releases and layouts, views, studies, tables of other people's making."""

import csv
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.dataset.prepare import prepare
from data_prep.errors import UserError
from data_prep.readers.chexpert import chexpert_table
from data_prep.readers.shared.chexpert_paths import place_of
from data_prep.readers.shared.rows import NOT_FOUND
from data_prep.tables.vocabulary import CHEXPERT5, CHEXPERT14
from tests.data_prep.readers.archive_trees import (
    CHEXPERT_HEADER,
    chexpert_rows,
    chexpert_tree,
    real_chexpert_tree,
)
from tests.data_prep.readers.archives import chexpert_source

FAST = {"key": b"public", "public": True, "size": 32, "workers": 0, "progress": False}

# The noisy-label study's table: label, blank, -1, 0, 1.
NOISY_LABEL_STUDY = """
No Finding	201033	0	0	22381
Enlarged Cardiomediastinum	178575	12403	21638	10798
Cardiomegaly	177211	8087	11116	27000
Lung Opacity	105636	5598	6599	105581
Lung Lesion	211470	1488	1270	9186
Edema	137458	12984	20726	52246
Consolidation	152792	27742	28097	14783
Pneumonia	195806	18770	2799	6039
Atelectasis	154971	33739	1328	33376
Pneumothorax	144480	3145	56341	19448
Pleural Effusion	90203	11628	35396	86187
Pleural Other	216922	2653	316	3523
Fracture	211220	642	2512	9040
Support Devices	100197	1079	6137	116001
"""


def facts(source):
    return [(r.key, r.patient, r.study, r.view, r.split, r.codes) for r in source.records]


def write_table(path, rows, header=CHEXPERT_HEADER):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@given(
    st.sampled_from(
        ["", "CheXpert-v1.0-small/", "/nas/public/CheXpert-v1.0/", "C:\\x\\", "a b (c)/"]
    ),
    st.sampled_from(["train", "valid", "val", "test", None]),
    st.integers(1, 99_999),
    st.integers(1, 90),
    st.sampled_from(["frontal", "lateral", None]),
)
def test_a_path_says_whose_film_it_is(front, split, patient, study, view):
    tail = f"patient{patient:05d}/study{study}"
    film = f"/view1_{view}.jpg" if view else ""
    place = place_of(front + (f"{split}/" if split else "") + tail + film)
    assert place.split == {"val": "valid", None: ""}.get(split, split)
    assert (place.patient, place.study) == (f"patient{patient:05d}", tail)
    assert place.image == (tail + film if view else None)
    assert place.view == (view or "")


@pytest.mark.parametrize(
    "text", ["", "00000001_000.png", "patient1.jpg", "patient1/study1/x/y.jpg"]
)
def test_other_paths_say_nothing(text):
    assert place_of(text) is None


@pytest.mark.parametrize("release", ["CheXpert-v1.0", "CheXpert-v1.0-small"])
@pytest.mark.parametrize("above", [False, True])
def test_both_releases_from_the_folder_or_the_one_above(tmp_path, release, above):
    folder = chexpert_tree(tmp_path, release)
    source = chexpert_source(tmp_path if above else folder)
    codes = ("1", "", "-1", "0", *[""] * 10)
    assert source.labels == CHEXPERT14
    assert facts(source) == [
        (
            f"{study}/view1_frontal.jpg",
            study[:12],
            study,
            view,
            split,
            codes[turn:] + codes[:turn],
        )
        for study, view, split, turn in (
            ("patient00001/study1", "AP", "train", 0),
            ("patient00002/study2", "PA", "train", 1),
            ("patient00002/study1", "AP", "train", 2),
            ("patient64541/study1", "AP", "valid", 0),
        )
    ]
    assert {record.sex for record in source.records} == {"F"}
    assert [record.age for record in source.records] == [60, 61, 62, 60]
    assert source.rejected == []
    assert "views: frontal; 1 films of the table left out" in source.notes
    assert "AAAI 2019" in source.citation


def test_lateral_films_on_request(tmp_path):
    folder = chexpert_tree(tmp_path)
    (lateral,) = chexpert_source(folder, views="lateral").records
    assert (lateral.view, lateral.study) == ("LATERAL", "patient00002/study1")
    assert len(chexpert_source(folder, views="all").records) == 5


def test_the_release_in_batches(tmp_path):
    folder = chexpert_tree(tmp_path / "tree")
    root = tmp_path / "chexpertchestxrays"
    first, second = root / "CheXpert-v1.0 batch 1 (validate & csv)", root / "CheXpert-v1.0 batch 2"
    first.mkdir(parents=True)
    for name in ("train.csv", "valid.csv", "valid"):
        (folder / name).rename(first / name)
    (folder / "train").rename(second)
    assert len(chexpert_source(root).records) == 4


def test_five_labels(tmp_path):
    source = chexpert_source(chexpert_tree(tmp_path), label_set="chexpert5")
    assert source.labels == CHEXPERT5
    raw = dict(zip(CHEXPERT14, ("1", "", "-1", "0", *[""] * 10), strict=True))
    assert source.records[0].codes == tuple(raw[label] for label in CHEXPERT5)


@pytest.mark.parametrize("column", ["Path", "Study"])
def test_the_test_set_by_study_or_by_film(tmp_path, column):
    folder = chexpert_tree(tmp_path, splits=("test",))
    films = chexpert_rows()["test"]
    labels = ["1.0", "0.0", *["0.0"] * 12]
    (folder / "test.csv").unlink()
    paths = [films[0][0].rsplit("/", 1)[0]] if column == "Study" else [row[0] for row in films]
    write_table(folder / "test_labels.csv", [[p, *labels] for p in paths], [column, *CHEXPERT14])
    source = chexpert_source(folder, views="all")
    codes = tuple(label[0] for label in labels)
    assert facts(source) == [
        (f"{study}/{film}", study[:12], study, view, "test", codes)
        for study in ("patient64741/study1",)
        for film, view in (("view1_frontal.jpg", "FRONTAL"), ("view2_lateral.jpg", "LATERAL"))
    ]


def test_a_study_without_a_film_here_is_missing_once(tmp_path):
    folder = chexpert_tree(tmp_path)
    rows = [[f"CheXpert-v1.0/test/patient6474{n}/study1", *["0"] * 14] for n in (1, 2)]
    write_table(folder / "test.csv", rows, ["Study", *CHEXPERT14])
    source = chexpert_source(folder)
    assert source.rejected == [(f"patient6474{n}/study1", NOT_FOUND) for n in (1, 2)]


def test_a_table_that_others_made(tmp_path):
    folder = chexpert_tree(tmp_path)
    expected = facts(chexpert_source(folder))[-1:]
    header = [name.replace(" ", "_") for name in CHEXPERT_HEADER]
    rows = [[f"/nas/public/CheXpert/{row[0]}", *row[1:]] for row in chexpert_rows()["valid"]]
    table = write_table(tmp_path / "dev.csv", rows, header)
    assert facts(chexpert_source(folder, table=(table,))) == expected


def spoil_header(folder, old, new):
    path = folder / "train.csv"
    path.write_text(path.read_text().replace(old, new, 1))


BAD = {
    "no table": (
        lambda f: [(f / n).unlink() for n in ("train.csv", "valid.csv")],
        "There is no train",
    ),
    "two releases": (
        lambda f: chexpert_tree(f.parent, "CheXpert-v1.0-small"),
        "several releases (CheXpert-v1.0, CheXpert-v1.0-small)",
    ),
    "a label lacks": (
        lambda f: spoil_header(f, "Lung Lesion", "Lung Lesson"),
        "no column 'Lung Lesion' (1 of 14 labels are missing). Nearest known: Lung Lesson",
    ),
    "a code that is none": (lambda f: spoil_header(f, "-1.0", "2.0"), "holds '2.0'"),
    "a film in two tables": (
        lambda f: (f / "valid.csv").write_text((f / "train.csv").read_text()),
        "4 films stand twice in train.csv, valid.csv",
    ),
    "a path that is none": (
        lambda f: spoil_header(f, "patient00002/study2", "patient00002"),
        "data row 2 has no path",
    ),
    "no paths": (lambda f: (f / "train.csv").write_text("a,b\n1,2\n"), "isn't a table of CheXpert"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_archives_are_one_line(tmp_path, case):
    spoil, words = BAD[case]
    folder = chexpert_tree(tmp_path)
    spoil(folder)
    with pytest.raises(UserError) as error:
        chexpert_source(tmp_path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.real
def test_the_noisy_label_studys_table_in_all_56_cells(real):
    table = chexpert_table([real("metadata", "chexpert_train.csv.gz")])
    assert len(table.frame) == 223_414
    assert table.frame["patient"].nunique() == 64_540
    cells = 0
    for line in NOISY_LABEL_STUDY.strip().splitlines():
        label, *counts = line.split("\t")
        found = Counter(table.frame[label])
        assert [found[code] for code in ("", "-1", "0", "1")] == list(map(int, counts)), label
        cells += len(counts)
    assert cells == 56


@pytest.mark.real
def test_the_re_headed_real_table_is_understood(real):
    path = real("metadata", "chexpert_valid_jfhealthcare_dev.csv")
    frame = chexpert_table([path]).frame
    raw = pd.read_csv(path)
    assert len(frame) == 234
    assert set(frame["split"]) == {"valid"}
    assert Counter(frame["view"]) == Counter(raw["AP/PA"].fillna("LATERAL"))
    assert frame["study"].nunique() == 200
    for label in CHEXPERT14:
        positive = raw[label.replace(" ", "_")] == 1
        assert (frame[label] == positive.map({True: "1", False: "0"})).all()


@pytest.mark.real
def test_real_films_in_the_real_layout(tmp_path, real):
    folder = real_chexpert_tree(tmp_path, real, every=40)
    source = chexpert_source(tmp_path)
    prepare(source, tmp_path / "out", **FAST)
    manifest = pd.read_csv(tmp_path / "out" / "manifest.csv", dtype=str, keep_default_na=False)
    raw = pd.concat(
        pd.read_csv(folder / f"{split}.csv", dtype=str, keep_default_na=False)
        for split in ("train", "valid")
    )
    raw.index = raw["Path"].str.extract(r"(patient.*)$")[0]
    raw = raw.loc[manifest["source_id"]]
    assert len(manifest) >= 20
    assert set(manifest["split"]) == {"train", "valid"}
    assert list(manifest["patient"]) == list(raw.index.str[:12])
    assert list(manifest["view"]) == list(raw["AP/PA"])
    for label in ("Edema", "Pleural Effusion"):
        assert list(manifest[label]) == [code.replace(".0", "") for code in raw[label]]
        assert {"1", "-1", ""} <= set(manifest[label])
