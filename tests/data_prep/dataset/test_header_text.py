"""Free text of a DICOM header never reaches a byte of what is written or said."""

import logging

import pytest

from cxrkeras.cli import main
from data_prep.films.header import body_part_term, view_term
from data_prep.films.views import admits
from data_prep.tables.table import read_table
from tests.data_prep.dataset.planted import MARK, planted
from tests.data_prep.readers.archives import contents, write_csv


@pytest.fixture(scope="module")
def marked(real, tmp_path_factory):
    """A folder of real headers with a name in each text element; which file has it doesn't tell."""
    folder = tmp_path_factory.mktemp("planted")
    assert len(planted(real("dicom", "chest", "RG1_UNCI.dcm"), folder)) > 40
    return folder


def run(*words) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code


@pytest.mark.real
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_prep_repeats_no_free_text(marked, tmp_path, capfd, caplog):
    files = sorted(marked.glob("*.dcm"))
    rows = [["image", "Mass"], *([file.name, n % 2] for n, file in enumerate(files))]
    table, out = write_csv(tmp_path / "t.csv", rows), tmp_path / "out"
    words = ["prep", "table", "--images", marked, "--labels", table, "--out", out, "--no-near"]
    words += ["--image-size", 32, "--workers", 0, "--key-file", tmp_path / "key"]
    with caplog.at_level(logging.DEBUG):
        assert run(*words) == 0
    said = "".join(capfd.readouterr()) + caplog.text
    assert MARK.casefold() not in said.casefold()
    manifest, rejected = read_table(out / "manifest.csv"), read_table(out / "rejected.csv")
    assert len(manifest) + len(rejected) + len(read_table(out / "duplicates.csv")) == len(files)
    assert len(manifest) > len(files) / 2
    for name, content in contents(out).items():
        assert MARK.casefold().encode() not in content.lower(), name
        assert MARK.casefold() not in name.casefold()


@pytest.mark.parametrize(
    ("text", "term"),
    [
        *(("PA", "PA"), (" ll ", "LL"), ("Left Lateral", "LEFT LATERAL"), ("LAT-L", "LAT L")),
        *(("ZQMUELLER", None), ("PA ZQ", None), ("LEFT", None), ("L R", None), ("", None)),
    ],
)
def test_views_are_terms(text, term):
    assert view_term(text) == term


@pytest.mark.parametrize("text", ["LEFT LATERAL", "L LATERAL", "LATERAL L", "LLAT", "RAO"])
def test_a_header_that_names_its_side_too_is_no_frontal_view(text):
    assert not admits("frontal", view_term(text))


@pytest.mark.parametrize(
    ("letters", "term"),
    [("CHEST", "CHEST"), ("HANDZQHAND", "OTHER"), ("MUELLER", "OTHER"), ("", None)],
)
def test_body_parts_are_terms(letters, term):
    assert body_part_term(letters) == term
