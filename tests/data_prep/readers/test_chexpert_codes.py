"""MIMIC-CXR-JPG and BRAX: CheXpert's codes in tables of other forms."""

import gzip

import pytest

from data_prep.errors import UserError
from data_prep.readers.brax import Part as Brax
from data_prep.readers.mimic import Part as Mimic
from data_prep.readers.shared.example import write_film, write_table
from data_prep.tables.vocabulary import CHEXPERT14

CODES = ("1.0", "-1.0", "0.0", *[""] * 11)
PLAIN = ("1", "-1", "0", *[""] * 11)


@pytest.fixture
def mimic(tmp_path):
    folder, _ = Mimic.example(tmp_path)
    return folder


def test_films_have_the_codes_of_their_study(mimic):
    first, second, third = Mimic(views="all").read(mimic, "x").records
    assert first.codes == second.codes == PLAIN
    assert third.codes == PLAIN[::-1]
    assert (first.key, first.patient, first.study, first.view, first.split) == (
        "files/p10/p10000032/s50414267/a1.jpg", "10000032", "50414267", "PA", "train",
    )  # fmt: skip
    assert [record.view for record in Mimic().read(mimic, "x").records] == ["PA", "AP"]
    assert [record.view for record in Mimic(views="lateral").read(mimic, "x").records] == [
        "LATERAL"
    ]


def test_gzipped_tables_and_the_other_labeller_and_studies_without_labels(mimic):
    for what in ("metadata", "split"):
        path = mimic / f"mimic-cxr-2.0.0-{what}.csv"
        path.with_suffix(".csv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    rows = [("subject_id", "study_id", *CHEXPERT14), (11000033, 5, *CODES)]
    write_table(mimic / "mimic-cxr-2.0.0-negbio.csv", rows)
    source = Mimic(labeller="negbio", views="all").read(mimic, "x")
    assert [record.codes for record in source.records] == [PLAIN]
    assert "2 films of studies without labels are left out" in source.notes


@pytest.mark.parametrize("what", ["chexpert", "metadata", "split"])
def test_what_of_it_is_missing_is_said(mimic, what):
    (mimic / f"mimic-cxr-2.0.0-{what}.csv").unlink()
    with pytest.raises(UserError, match=rf"no mimic-cxr-2\.0\.0-{what}\.csv\.gz.*Download"):
        Mimic().read(mimic, "x")


def test_a_wrong_code_and_a_study_twice_are_refused(mimic):
    path = mimic / "mimic-cxr-2.0.0-chexpert.csv"
    header = ("subject_id", "study_id", *CHEXPERT14)
    write_table(path, [header, (1, 5, "2", *CODES[1:])])
    with pytest.raises(UserError, match="'No Finding' holds values other"):
        Mimic().read(mimic, "x")
    write_table(path, [header, (1, 5, *CODES), (1, 5, *CODES)])
    with pytest.raises(UserError, match="several rows for one study"):
        Mimic().read(mimic, "x")


def test_brax_tells_study_age_and_view(tmp_path):
    folder, _ = Brax.example(tmp_path)
    first, second, third = Brax(views="all").read(folder, "x").records
    assert (first.study, first.age, first.sex, first.view) == ("id_a/Study_1.2", 85, "F", "PA")
    assert (second.study, second.age, third.patient) == (first.study, 40, "id_b")
    assert first.codes == ("", "1", "-1", "0", *[""] * 10)
    assert [record.view for record in Brax().read(folder, "x").records] == ["PA", None]
    (folder / third.key).unlink()
    source = Brax().read(folder, "x")
    assert source.rejected == [(third.key, "file not found")]
    (folder / "master_spreadsheet_update.csv").unlink()
    with pytest.raises(UserError, match=r"no master_spreadsheet_update\.csv.*Download"):
        Brax().read(folder, "x")


def test_no_film_below_the_folder_is_said(mimic):
    for path in mimic.rglob("*.jpg"):
        path.unlink()
    write_film(mimic / "other.jpg", 1)
    with pytest.raises(UserError, match="None of the 3 images of the table"):
        Mimic().read(mimic, "x")
