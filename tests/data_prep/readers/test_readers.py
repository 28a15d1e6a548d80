"""Both readers: what they understand of a table, and what they refuse."""

import pandas as pd
import pytest

from data_prep.errors import UserError
from data_prep.readers.eda import BESIDE_PACEMAKER, ONLY_PACEMAKER
from data_prep.readers.shared.rows import NO_ROW, NOT_FOUND
from data_prep.tables.columns import age_of, label_columns, sex_of
from data_prep.tables.vocabulary import EDA7, EDA_TAXONOMY, NIH14, NORMAL, PACEMAKER
from tests.data_prep.readers.archives import (
    archive,
    eda_source,
    film,
    table_source,
    write_csv,
    write_png,
)


@pytest.fixture
def films(tmp_path):
    for number in range(4):
        write_png(tmp_path / "films" / f"f{number}.png", film(number, 16))
    return tmp_path / "films"


def table(films, rows, **options):
    return table_source(films, write_csv(films.parent / "t.csv", rows), **options)


def eda(films, rows, **options):
    return eda_source(films, write_csv(films.parent / "t.csv", rows), **options)


def codes(source):
    return {record.key: record.codes for record in source.records}


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("61", 61),
        ("61.0", 61),
        ("058Y", 58),
        ("006M", 0.5),
        ("010D", 0.03),
        ("0", 0),
        ("100", 100),
        *((text, None) for text in ("101", "414Y", "-3", "old", "")),
    ],
)
def test_ages(text, years):
    assert age_of(text) == years


def test_sexes():
    words = ["F", "female", "女", "M", "Male", "男", "O", "", "unknown"]
    assert [sex_of(w) for w in words] == ["F"] * 3 + ["M"] * 3 + [None] * 3


def test_columns_of_usual_names_are_understood(films):
    header = ["Image Index", "Patient ID", "Patient Age", "Patient Gender", "View Position", "Mass"]
    rows = [header, ["f1.png", "7", "058Y", "F", "PA", "1"], ["f0.png", "8", "414", "x", "", ""]]
    source = table(films, rows)
    first, second = source.records
    assert (first.key, first.patient, first.age, first.sex, first.view) == (
        "f1.png",
        "7",
        58,
        "F",
        "PA",
    )
    assert (second.age, second.sex, second.view, second.codes) == (None, None, None, ("",))
    assert source.labels == ("Mass",)
    assert source.rejected == [("f2.png", NO_ROW), ("f3.png", NO_ROW)]
    notes = "\n".join(source.notes)
    for words in (
        "image column: Image Index (2 of 2",
        "patient column: Patient ID",
        "age: not an age",
    ):
        assert words in notes


def test_columns_may_be_named(films):
    rows = [["a", "b", "who", "x y", "Mass"], ["f0.png", "f1.png", "Z", "1", "0"]]
    choice = {"image_column": "b", "patient_column": "who"}
    source = table(films, rows, **choice, labels_from=["x y"])
    assert [(r.key, r.patient, r.codes) for r in source.records] == [("f1.png", "Z", ("1",))]
    with pytest.raises(
        UserError, match=r"no column 'whom' \(--patient-column\). Nearest known: who"
    ):
        table(films, rows, patient_column="whom")
    with pytest.raises(UserError, match="no column 'xy'"):
        table(films, rows, labels_from=["xy"])
    with pytest.raises(UserError, match="can't be a label"):
        table(films, rows, **choice, labels_from=["who"])


def test_a_findings_column_serves_where_there_are_no_codes(films):
    rows = [["image", "Finding Labels"], ["f0.png", "Mass|Edema"], ["f1.png", "No Finding"]]
    source = table(films, rows)
    assert source.labels == ("Mass", "Edema")
    assert codes(source) == {"f0.png": ("1", "1"), "f1.png": ("0", "0")}


def test_rows_of_one_image_are_merged_by_strength(films):
    rows = [["image", "patient", "A", "B", "C"]]
    rows += [
        ["f0.png", "1", "0", "-1", ""],
        ["f0", "2", "1", "0", "0"],
        ["f1.png", "1", "1", "1", "1"],
    ]
    source = table(films, rows)
    assert codes(source)["f0.png"] == ("1", "-1", "0")
    assert source.records[0].patient == "1"
    assert any("differ in patient" in note for note in source.notes)
    assert any("1 rows repeat an image" in note for note in source.notes)


def test_missing_files_are_listed_unless_all_are(films):
    source = table(films, [["image", "A"], ["f0.png", "1"], ["gone.png", "0"], ["gone.png", "0"]])
    assert source.rejected[0] == ("gone.png", NOT_FOUND)
    assert sum(reason == NOT_FOUND for _, reason in source.rejected) == 1
    with pytest.raises(UserError, match="No column of the table names a file"):
        table(films, [["image", "A"], ["gone.png", "1"]])
    with pytest.raises(UserError, match="Column 'A' names no file"):
        table(films, [["image", "A"], ["f0.png", "1"]], image_column="A")


def test_a_stray_value_never_makes_a_label_vanish():
    frame = pd.DataFrame(
        {
            "Follow-up #": ["0", "1"],
            "No Finding": ["0", "1"],
            "notes": ["fine", "ill"],
            "Mass": ["2", "3"],
            "made up": ["yes", "no"],
            "half": ["1", "x"],
            "empty": ["", ""],
        }
    )
    assert label_columns(frame, set()) == ["Mass", "made up", "half"]


def test_a_table_without_labels_or_rows_is_refused(films):
    with pytest.raises(UserError, match="neither 0/1 columns nor"):
        table(films, [["image", "note"], ["f0.png", "well"]])
    rows = [["image", "ward", "Herz"], ["f0.png", "Ann", "ja"], ["f1.png", "Bob", "nein"]]
    with pytest.raises(UserError, match="'Herz' holds 'ja' and 'nein'; allowed are 1") as said:
        table(films, rows)
    assert "Ann" not in str(said.value)
    with pytest.raises(UserError, match="'ward' holds a text of 3 characters and a") as said:
        table(films, [row[:2] for row in rows])
    assert "Ann" not in str(said.value)
    with pytest.raises(UserError, match="no rows"):
        table(films, [["image", "A"]])


@pytest.mark.real
def test_the_real_target_table_is_understood(real):
    source = table_source(real("nih_target", "images"), real("nih_target", "labels.csv"))
    assert source.labels == NIH14
    assert len(source.records) == 546
    assert source.rejected == []


def test_the_study_s_table_of_1924_rows_gives_its_sums(tmp_path):
    rows, number = [["file", "Category", "Subcategory"]], 0
    for category, subs in EDA_TAXONOMY.items():
        for sub, count in subs.items():
            rows += [[f"{n}.png", category, sub] for n in range(number, number + count)]
            number += count
    assert number == 1924
    write_png(tmp_path / "films" / "0.png", film(0, 16))
    for n in range(1, number):
        (tmp_path / "films" / f"{n}.png").write_bytes(b"")
    source = eda(tmp_path / "films", rows)
    assert source.labels == EDA7
    sums = [sum(int(record.codes[k]) for record in source.records) for k in range(7)]
    assert sums == [91, 96, 33, 154, 151, 36, 42]
    normal = [record for record in source.records if set(record.codes) == {"0"}]
    assert len(normal) == 1314
    assert [reason for _, reason in source.rejected] == [ONLY_PACEMAKER] * 7


def test_rows_of_one_image_are_ored(films):
    rows = [["image", "finding"], ["f0.png", "Scoliosis"], ["f1.png", "normal"]]
    rows += [["f0.png", "obvious hilar|tuberculosis"], ["f0.png", "normal"], ["f2.png", "心臟肥大"]]
    source = eda(films, rows, include_normal=True)
    assert source.labels == (*EDA7, NORMAL)
    positive = {
        key: {label for label, code in zip(source.labels, row, strict=True) if code == "1"}
        for key, row in codes(source).items()
    }
    assert positive == {
        "f0.png": {"spinal lesions", "increased lung patterns", "abnormal lung fields"},
        "f1.png": {NORMAL},
        "f2.png": {"cardiac hypertrophy"},
    }


def test_pacemakers_are_dropped_and_listed(films):
    rows = [
        ["image", "finding"],
        ["f0.png", PACEMAKER],
        ["f1.png", PACEMAKER],
        ["f1.png", "scoliosis"],
    ]
    rows += [["f2.png", "normal"]]
    source = eda(films, rows)
    assert ("f0.png", ONLY_PACEMAKER) in source.rejected
    assert list(codes(source)) == ["f1.png", "f2.png"]
    assert ("f1.png", BESIDE_PACEMAKER) in source.rejected
    assert not any("f1.png" in note for note in source.notes)
    kept = eda(films, rows, keep_pacemaker=True, include_normal=True)
    assert codes(kept)["f0.png"] == ("0",) * 8


def test_an_unknown_sub_finding_brings_the_nearest(films):
    rows = [
        ["image", "finding"],
        ["f0.png", "scoliosis"],
        ["f1.png", "scoliossis"],
        ["f2.png", "normal"],
    ]
    with pytest.raises(UserError, match=r"'scoliossis' .*Nearest known: scoliosis"):
        eda(films, rows)
    with pytest.raises(UserError, match="isn't one of findings") as error:
        eda(films, [["image", "name"], ["f0.png", "Ann"], ["f1.png", "Bob"]], finding_column="name")
    assert "Ann" not in str(error.value)
    with pytest.raises(UserError, match="no column of sub-findings"):
        eda(films, [["image", "name"], ["f0.png", "Ann"]])


def test_the_archive_helper_is_what_the_readers_expect(tmp_path):
    source = table_source(*archive(tmp_path))
    assert source.labels == ("Mass", "Nodule")
    assert len({record.patient for record in source.records}) == 3


COVID_ABOUT = ("patientid", "offset", "sex", "age")
COVID = [  # the layout of covid-chestxray's metadata.csv
    [*COVID_ABOUT, "finding", "RT_PCR_positive", "survival", "view", "filename"],
    ["2", "0", "M", "65", "COVID-19", "Y", "Y", "PA", "f0.png"],
    ["2", "3", "M", "65", "COVID-19, ARDS", "Y", "Y", "PA", "f1.png"],
    ["4", "0", "F", "52", "Pneumonia", "", "N", "AP", "f2.png"],
    ["5", "5", "F", "31", "No Finding", "Unclear", "", "AP", "f3.png"],
]  # fmt: skip


def test_the_layout_of_a_public_covid_archive(films):
    source = table(films, COVID)
    assert source.labels == ("ARDS", "COVID-19", "Pneumonia")
    assert codes(source) == {
        "f0.png": ("0", "1", "0"),
        "f1.png": ("1", "1", "0"),
        "f2.png": ("0", "0", "1"),
        "f3.png": ("0", "0", "0"),
    }
    said = "\n".join(source.notes)
    assert "from column finding" in said
    assert "1 rows list several, separated by ','" in said
    assert "columns not used: " in said
    assert "survival" in said
    assert "--labels-from COLUMNS or --findings-column COLUMN" in said


def test_yes_and_no_are_read_where_asked_for_and_said(films):
    source = table(films, COVID, labels_from=["survival"])
    assert [code for (code,) in codes(source).values()] == ["1", "1", "0", ""]
    assert any("yes and no are read as 1 and 0: survival" in note for note in source.notes)
    with pytest.raises(
        UserError,
        match=r"'RT_PCR_positive' holds 'Unclear' in data row 4 \(1 such.*--findings-column",
    ):
        table(films, COVID, labels_from=["RT_PCR_positive"])


@pytest.mark.parametrize(
    ("column", "name", "labels"),
    [
        (["Y", "N", "", "y"], "opaque", ("opaque",)),
        (["True", "false", "", ""], "opaque", ("opaque",)),
        (["Y", "N", "Unclear", "N"], "opaque", None),
        (["yes", "1", "0", "no"], "opaque", ("opaque",)),
        (["Mass", "Edema; Mass", "", "normal"], "Diagnosis", ("Mass", "Edema")),
        (["tube", "tube, line", "line", ""], "diagnosis", ("line", "tube")),
        (["a", "opaque, left", "b", ""], "findings", ("a", "b", "opaque, left")),
    ],
)
def test_what_a_column_alone_is_taken_for(films, column, name, labels):
    rows = [["image", name], *([f"f{n}.png", cell] for n, cell in enumerate(column))]
    if labels is None:
        with pytest.raises(UserError, match=r"neither .*--labels-from COLUMNS or --findings"):
            table(films, rows)
    elif "1" in column:  # words beside codes: neither can be meant alone
        with pytest.raises(UserError, match="yes and no throughout"):
            table(films, rows)
    else:
        source = table(films, rows)
        assert source.labels == labels
        commas = any("," in label for label in labels)
        assert any("not split" in note for note in source.notes) == commas


def test_codes_go_before_findings_only_where_they_can_be_nothing_else(films):
    rows = [["image", "finding", "A", "days"], ["f0.png", "x", "1", "0"], ["f1.png", "y", "0", "9"]]
    assert table(films, rows).labels == ("A",)
    rows[2][2] = "2"
    assert table(films, rows).labels == ("x", "y")
    rows[0][2] = "Mass"
    with pytest.raises(UserError, match=r"'Mass' holds '2'.*--findings-column"):
        table(films, rows)


def test_no_label_is_suggested_for_a_patient_column(films):
    rows = [["image", "Hernia", "MRI", "id_no"], ["f0.png", "1", "Y", "x1"]]
    with pytest.raises(UserError) as error:
        table(films, rows, patient_column="MRN")
    assert str(error.value).endswith("Known: image, id_no.")
