"""PadChest: its spellings and marks, and the real table against pandas' own count."""

import ast
import csv
from collections import Counter

import pytest

from data_prep.errors import UserError
from data_prep.readers.padchest import Part, padchest_table
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.padchest_names import FINDINGS
from tests.data_prep.readers.published import published

TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
HEADER = (
    "", "ImageID", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth", "PatientSex_DICOM",
    "Projection", "MethodLabel", "Labels",
)  # fmt: skip
ROWS = [
    (0, "a.png", 20140915, "s1", "p1", "1930.0", "F", "PA", "Physician", "['cardiomegaly']"),
    (1, "b.png", 20140915, "s1", "p1", "1930.0", "F", "L", "Physician", "['cardiomegaly']"),
    (2, "c.png", 20150101, "s2", "p2", "1999.0", "M", "AP", "RNN_model",
     "[' Pleural  Effusion', '', 'copd signs']"),
    (3, "d.png", 20150101, "s3", "p2", "", "nan", "PA", "RNN_model", "['normal', 'unchanged']"),
    (4, "e.png", 20150101, "s4", "p3", "1950", "O", "PA", "RNN_model", "['unchanged']"),
    (5, "f.png", 20150101, "s5", "p4", "1950", "M", "PA", "RNN_model", "nan"),
    (6, "g.png", 20150101, "s6", "p5", "1950", "M", "PA", "Physician", "['exclude', 'nodule']"),
    (7, "h.png", 20150101, "s7", "p6", "1950", "M", "COSTAL", "RNN_model", "['something new']"),
]  # fmt: skip


@pytest.fixture
def tree(tmp_path):
    for number, row in enumerate(ROWS):
        write_film(tmp_path / str(number % 3) / row[1], number)
    write_table(tmp_path / TABLE, [HEADER, *ROWS])
    return tmp_path


def found(source):
    return {
        record.key: {n for n, code in zip(source.labels, record.codes, strict=True) if code == "1"}
        for record in source.records
    }


def test_spellings_are_one_and_films_without_findings_are_left_out(tree):
    source = Part(views="all").read(tree, "x")
    known = ("cardiomegaly", "COPD signs", "nodule", "pleural effusion")
    assert source.labels == (*known, "something new")
    assert found(source) == {
        "a.png": {"cardiomegaly"},
        "b.png": {"cardiomegaly"},
        "c.png": {"pleural effusion", "COPD signs"},
        "d.png": set(),
        "h.png": {"something new"},
    }
    assert source.rejected == [("g.png", "the archive's own label: exclude")]
    assert "neither a finding nor normal in the table: 2 films left out" in source.notes
    first, _, third, fourth, _ = source.records
    assert (first.patient, first.study, first.view, first.sex, first.age) == (
        "p1", "s1", "PA", "F", 84,
    )  # fmt: skip
    assert (third.age, fourth.age, fourth.sex) == (16, None, None)


def test_views_readers_and_rare_findings_are_chosen(tree):
    assert list(found(Part().read(tree, "x"))) == ["a.png", "c.png", "d.png"]
    assert list(found(Part(views="lateral").read(tree, "x"))) == ["b.png"]
    read = Part(read_by="physician").read(tree, "x")
    assert list(found(read)) == ["a.png"]
    assert read.labels == ("cardiomegaly", "nodule")
    assert Part(least=2).read(tree, "x").labels == ("cardiomegaly",)


@pytest.mark.parametrize("cell", ["nodule", "['nodule'", "[1]", "3"])
def test_a_cell_that_is_no_list_is_refused(tree, cell):
    write_table(tree / TABLE, [HEADER, (*ROWS[0][:-1], cell)])
    with pytest.raises(UserError, match="isn't a list like"):
        Part().read(tree, "x")


def test_a_table_without_a_column_is_refused(tree):
    write_table(tree / TABLE, [HEADER[:-1], ROWS[0][:-1]])
    with pytest.raises(UserError, match="no column 'Labels'"):
        Part().read(tree, "x")


@pytest.mark.real
@pytest.mark.slow
def test_the_real_table_counts_as_pandas_does():
    import pandas as pd

    path = published(f"{TABLE}.gz")
    table, excluded = padchest_table(path)
    frame = pd.read_csv(path, usecols=["Labels"], dtype=str, keep_default_na=False)["Labels"]
    lists = frame.map(lambda c: {w.strip() for w in ast.literal_eval(c)} if c[0] == "[" else set())
    lists = lists.map(lambda names: names - {"", "unchanged", "suboptimal study"})
    kept = lists[lists.map(lambda names: bool(names) and "exclude" not in names)]
    theirs = kept.explode().value_counts().to_dict()
    assert theirs.pop("normal") > 50_000
    theirs["unspecified mass"] = theirs.pop("mass")
    ours = Counter()
    for codes in table.codes:
        ours.update(
            n for n, code in zip(table.labels, codes or (), strict=bool(codes)) if code == "1"
        )
    assert ours == theirs
    assert set(table.labels) == set(FINDINGS)
    assert len(table.frame) == len(frame) == 160_861
    assert sum(codes is not None for codes in table.codes) == len(kept)
    assert sum(map(bool, excluded)) == lists.map(lambda names: "exclude" in names).sum()
    assert table.frame["patient"].nunique() == 67_625


def test_the_names_are_a_table_that_reads_alike(tree):
    assert len(set(map(str.casefold, FINDINGS))) == len(FINDINGS) == 189
    with (tree / TABLE).open() as file:
        assert len(list(csv.reader(file))) == len(ROWS) + 1
