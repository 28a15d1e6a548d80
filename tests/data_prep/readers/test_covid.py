"""The COVID-19 image collection: findings that are paths."""

import pytest

from data_prep.errors import UserError
from data_prep.readers.covid import Part
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.wording import worded

HEADER = ("patientid", "offset", "sex", "age", "finding", "RT_PCR_positive", "view", "modality",
          "filename")  # fmt: skip
FILMS = [  # patient, offset, finding, view, modality
    ("1", "0", "Pneumonia/Viral/COVID-19", "PA", "X-ray"),
    ("1", "0", "Pneumonia/Viral/COVID-19", "L", "X-ray"),
    ("2", "", "Pneumonia", "AP Supine", "X-ray"),
    ("3", "3", "No Finding", "PA", "X-ray"),
    ("4", "3", "Tuberculosis", "PA", "X-ray"),
    ("5", "3", "todo", "PA", "X-ray"),
    ("6", "3", "Unknown", "PA", "X-ray"),
    ("7", "3", "Pneumonia/Bacterial/Klebsiella", "Coronal", "CT"),
    ("8", "3", "Pneumonia/Viral", "AP", "X-ray"),
    ("9", "3", "Vaping", "AP", "X-ray"),
]


@pytest.fixture
def tree(tmp_path):
    rows = [HEADER]
    for number, (patient, offset, finding, view, modality) in enumerate(FILMS):
        name = f"f{number}.jpg"
        write_film(tmp_path / "images" / name, number)
        rows.append((patient, offset, "M", "65", finding, "", view, modality, name))
    write_table(tmp_path / "metadata.csv", rows)
    return tmp_path


def source(tree):
    return Part().read(tree, "x")


def test_each_step_is_a_label_and_what_lies_below_the_last_is_unknown(tree):
    read = source(tree)
    assert read.labels == (
        "Pneumonia", "Viral Pneumonia", "Bacterial Pneumonia", "COVID-19", "Klebsiella",
        "Tuberculosis", "Vaping",
    )  # fmt: skip
    assert {record.key: ",".join(record.codes) for record in read.records} == {
        "f0.jpg": "1,1,0,1,0,0,0",
        "f2.jpg": "1,,,,,0,0",
        "f3.jpg": "0,0,0,0,0,0,0",
        "f4.jpg": "0,0,0,0,0,1,0",
        "f8.jpg": "1,1,0,,0,0,0",
        "f9.jpg": "0,0,0,0,0,0,1",
    }
    assert [record.study for record in read.records][:2] == ["covid-1-0", None]
    assert read.records[0].patient == "covid-1"
    assert "of unknown finding: 2 images left out" in read.notes


def test_the_kinds_of_a_germ_are_unknown_too(tree):
    said = ("Staphylococcus", "Staphylococcus/MRSA", "Viral/Influenza", "Viral/Influenza/H1N1")
    rows = [HEADER]
    for n, path in enumerate(said):
        path = f"Pneumonia/{path if '/' in path[:6] else 'Bacterial/' + path}"
        rows.append((n, 0, "M", 65, path, "", "PA", "X-ray", f"f{n}.jpg"))
    write_table(tree / "metadata.csv", rows)
    read = source(tree)
    codes = [dict(zip(read.labels, record.codes, strict=True)) for record in read.records]
    assert [row["MRSA"] for row in codes] == ["", "1", "0", "0"]
    assert [row["H1N1"] for row in codes] == ["0", "0", "", "1"]


def test_laterals_on_request_and_never_a_ct(tree):
    assert [r.key for r in Part(views="lateral").read(tree, "x").records] == ["f1.jpg"]
    assert "f7.jpg" not in [r.key for r in Part(views="all").read(tree, "x").records]


def test_the_vocabulary_knows_what_covid_is(tree):
    ours = worded(source(tree), "ours")
    assert ours.labels[:4] == source(tree).labels[:4]
    assert ours.labels[4:] == ("Tuberculosis",)


def test_a_table_of_another_kind_is_refused(tree):
    write_table(tree / "metadata.csv", [("filename", "finding"), ("f0.jpg", "Pneumonia")])
    with pytest.raises(UserError, match="has no column 'patientid'"):
        Part().read(tree, "x")
    write_table(tree / "metadata.csv", [HEADER, *[(*"1234", "todo", *"6789")] * 2])
    with pytest.raises(UserError, match="names no finding at all"):
        Part().read(tree, "x")
