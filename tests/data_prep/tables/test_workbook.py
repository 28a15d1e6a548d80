"""Excel's workbooks: read as a person sees them, refused where that isn't sure, written safely."""

import datetime
import io
import re
import zipfile

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.errors import UserError
from data_prep.tables.table import read_table
from data_prep.tables.workbook import frame_as_workbook, sheet_of

HEADER = ["image", "Mass"]
SHEET = "xl/worksheets/sheet1.xml"
DAY, MOMENT = datetime.date(2020, 3, 1), datetime.datetime(2020, 3, 1, 12, 30)


def book(path, sheets, change=None):
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        page = made.create_sheet(name)
        for row in rows:
            page.append(row)
    if change:
        change(made)
    made.save(path)
    return path


def rewritten(path, old, new):
    """Replace what fits a pattern within a workbook's sheet."""
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    parts[SHEET], count = re.subn(old, new, parts[SHEET])
    assert count == 1
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, content)


def test_cells_read_as_they_are_seen(tmp_path):
    rows = [
        ["text", "number", "float", "padded", "day", "moment", "yes", "none"],
        [
            "00042",
            7,
            0.1,
            42,
            datetime.date(2020, 3, 1),
            datetime.datetime(2020, 3, 1, 12, 30),
            True,
        ],
        [" x ", 1.0, 1e-9, 123456, datetime.datetime(1999, 1, 2), datetime.time(1, 2), False, ""],
    ]

    def shown(made):
        for row in (2, 3):
            made.active.cell(row, 4).number_format = "00000"

    table = read_table(book(tmp_path / "t.XLSX", {"One": rows}, shown))
    assert table.values.tolist() == [
        ["00042", "7", "0.1", "00042", "2020-03-01", "2020-03-01T12:30:00", "TRUE", ""],
        ["x", "1", "1e-09", "123456", "1999-01-02", "01:02:00", "FALSE", ""],
    ]
    assert list(table.columns) == rows[0]


def test_a_workbook_reads_as_its_csv_does(tmp_path):
    frame = pd.DataFrame(
        {"image": ["a.png", "", "c"], "Mass": ["1", "0", "-1"], "p": ["", "é", "'"]}
    )
    (tmp_path / "t.xlsx").write_bytes(frame_as_workbook(frame, "x"))
    frame.to_csv(tmp_path / "t.csv", index=False)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.xlsx"), read_table(tmp_path / "t.csv"))


def test_of_several_sheets_one_must_be_named(tmp_path):
    sheets = {"Labels": [HEADER, ["a", 1]], "Empty": [], "Notes (2)": [["who"], ["me"]]}
    path = book(tmp_path / "t.xlsx", sheets)
    with pytest.raises(UserError, match=r"2 sheets with rows: Labels, Notes \(2\)\. .*xlsx:Labels"):
        read_table(path)
    assert read_table(f"{path}:labels").values.tolist() == [["a", "1"]]
    assert list(read_table(f"{path}:Notes (2)").columns) == ["who"]
    with pytest.raises(UserError, match=r"no sheet 'Labls'\. Its sheets: Labels, Empty, Notes"):
        read_table(f"{path}:Labls")
    with pytest.raises(UserError, match="is empty"):
        read_table(f"{path}:Empty")

    def hide(made):
        made["Notes (2)"].sheet_state = "hidden"

    assert read_table(book(path, sheets, hide)).values.tolist() == [["a", "1"]]
    assert sheet_of(tmp_path / "t.csv") == (tmp_path / "t.csv", None)


def test_a_formula_gives_the_value_that_was_saved_with_it(tmp_path):
    path = book(tmp_path / "t.xlsx", {"One": [HEADER, ["a", "=1+0"], ["b", 0]]})
    with pytest.raises(UserError, match=r"the formula in B2 has no saved value.*save it"):
        read_table(path)
    rewritten(path, rb"(<f>1\+0</f>)<v(?: ?/>|></v>)", rb"\1<v>1</v>")
    assert read_table(path)["Mass"].tolist() == ["1", "0"]
    rewritten(path, rb'r="B2">(<f>1\+0</f><v>)1', rb'r="B2" t="str">\1')
    assert read_table(path)["Mass"].tolist() == ["", "0"]  # a formula may give an empty text


def test_merged_cells_have_one_value_and_names_of_columns_none(tmp_path):
    rows = [["patient", "image"], ["P1", "a"], [None, "b"], ["P2", "c"]]
    path = tmp_path / "t.xlsx"
    book(path, {"One": rows}, lambda made: made.active.merge_cells("A2:A3"))
    assert read_table(path)["patient"].tolist() == ["P1", "P1", "P2"]
    title = [["Our labels", None], *rows]
    book(path, {"One": title}, lambda made: made.active.merge_cells("A1:B1"))
    with pytest.raises(UserError, match=r"first row must name each column.*A1:B1 are merged"):
        read_table(path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(b"PK\x03\x04 and no more"), "can't be read as an Excel"),
        (lambda path: path.write_bytes(b"image,Mass\na,1\n"), "can't be read as an Excel"),
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "can't be read as an Excel"),
        (lambda path: path.unlink(), "There is no file"),
        (
            lambda path: rewritten(path, b"<worksheet", b"<!DOCTYPE x><worksheet"),
            "it has a DOCTYPE",
        ),
    ],
    ids=["no zip", "csv", "cut", "gone", "doctype"],
)
def test_what_is_no_workbook_is_one_line(tmp_path, spoil, words):
    path = book(tmp_path / "t.xlsx", {"One": [HEADER, ["Jane Doe", 1]]})
    spoil(path)
    with pytest.raises(UserError, match=words) as error:
        read_table(path)
    assert "\n" not in str(error.value)
    assert "Jane" not in str(error.value)


def test_a_workbook_that_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    path = book(tmp_path / "t.xlsx", {"One": [HEADER, *(["a", 1] for _ in range(2000))]})
    monkeypatch.setattr("data_prep.tables.workbook.MOST_BYTES", 50_000)
    with pytest.raises(UserError, match="the most that is read"):
        read_table(path)
    monkeypatch.undo()
    monkeypatch.setattr("data_prep.tables.table.MOST_VALUES", 1000)
    with pytest.raises(UserError, match="million cells"):
        read_table(path)


@pytest.mark.parametrize("name", ["xl/worksheets/sheet1.bin", "xl/media/sheet1.png"])
def test_a_sheet_under_any_name_is_looked_at_first(tmp_path, name):
    path = book(tmp_path / "t.xlsx", {"One": [HEADER, ["a", 1]]})
    rewritten(path, b"<worksheet", b'<!DOCTYPE x [<!ENTITY e "e">]><worksheet')
    with zipfile.ZipFile(path) as file:
        parts = {part: file.read(part) for part in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for part, content in parts.items():
            old, new = SHEET.removeprefix("xl/").encode(), name.removeprefix("xl/").encode()
            file.writestr(name if part == SHEET else part, content.replace(old, new))
    with pytest.raises(UserError, match=r"DOCTYPE|can't be read"):
        read_table(path)


def test_what_openpyxl_leaves_out_is_no_warning(tmp_path):
    """Drop-down lists of today's Excel, a day beyond the calendar: warnings are errors here."""
    path = book(tmp_path / "t.xlsx", {"One": [["image", "day"], ["a", DAY]]})
    uri = b"{CCE6A557-97BC-4b89-ADB6-D9C93CAAB3DF}"
    rewritten(path, b"</worksheet>", b'<extLst><ext uri="%s"/></extLst></worksheet>' % uri)
    assert read_table(path)["day"].tolist() == ["2020-03-01"]
    rewritten(path, b"<v>43891</v>", b"<v>9999999999</v>")
    assert read_table(path)["day"].tolist() == ["#VALUE!"]


TEXTS = st.builds(
    str.__add__,
    st.sampled_from(["", "=", "+", "@", "-", "'", "'=", "''", "=1+1", "#N/A", "TRUE", "1"]),
    st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), max_size=5),
).filter(lambda text: not set(text) & set("\ufffe\uffff"))


@settings(max_examples=10)
@given(st.lists(TEXTS.filter(str.strip), min_size=6, max_size=12))
def test_no_formula_goes_out_and_every_text_comes_back(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("book") / "t.xlsx"
    path.write_bytes(frame_as_workbook(pd.DataFrame({"=text": texts}), "x"))
    cells = [cell for (cell,) in openpyxl.load_workbook(path).active.iter_rows()]
    assert {cell.data_type for cell in cells} == {"s"}
    assert cells[0].quotePrefix
    table = read_table(path)
    assert list(table.columns) == ["=text"]
    assert table["=text"].tolist() == [text.strip() for text in texts]


def test_numbers_come_back_equal_and_the_bytes_are_the_same(tmp_path):
    frame = pd.DataFrame(
        {
            "prob": np.r_[np.random.default_rng(0).random(50), np.nan],
            "positive": pd.array([1, 0, pd.NA] * 17, "Int8"),
            "odd": ["\x07bell"] * 51,
        }
    )
    content = frame_as_workbook(frame, "x")
    assert content == frame_as_workbook(frame, "x")
    path = tmp_path / "t.xlsx"
    path.write_bytes(content)
    table = read_table(path)
    prob = [float(text or "nan") for text in table["prob"]]
    np.testing.assert_allclose(prob, frame["prob"], rtol=1e-15)  # of 17 digits a cell holds 16
    assert table["positive"].tolist() == ["1", "0", ""] * 17
    assert set(table["odd"]) == {"\ufffdbell"}
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert {info.date_time[0] for info in file.infolist()} == {1980}
