"""Tables as people have them: encodings, separators, codes, findings, and what is refused."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import UserError
from data_prep.tables.table import findings_to_codes, parse_codes, read_table
from data_prep.tables.vocabulary import NIH14

PLAIN = "image,Mass\na.png,1\nb.png,\n"
CHINESE = "檔名,診斷,Mass\na.png,心臟肥大,1\nb.png,主動脈硬化|脊椎病變,0\n"
WESTERN = "image,médecin,Größe\na.png,Müller,1\nb.png,señor,0\nc.png,très élevé,1\n"


def one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (PLAIN, "utf-8"),
        (PLAIN, "utf-8-sig"),
        (PLAIN, "utf-16"),
        (PLAIN, "utf-16-le"),
        (PLAIN, "utf-16-be"),
        (CHINESE, "utf-8"),
        (CHINESE, "cp950"),
        (CHINESE, "utf-16"),
        (WESTERN, "cp1252"),
        (WESTERN, "utf-8-sig"),
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_table_reads_the_same_in_any_encoding_separator_and_compression(
    tmp_path, text, encoding, separator, zipped
):
    expected = [line.split(",") for line in text.splitlines()]
    content = text.replace(",", separator).encode(encoding)
    path = tmp_path / ("t.csv.gz" if zipped else "t.csv")
    path.write_bytes(gzip.compress(content) if zipped else content)
    frame = read_table(path)
    assert [list(frame.columns), *frame.to_numpy().tolist()] == expected


def test_a_named_encoding_is_used(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("image,诊断\na.png,心脏肥大\n".encode("gb18030"))
    assert read_table(path, "gb18030")["诊断"][0] == "心脏肥大"


@given(st.lists(st.lists(st.text('ab ,;"|1\t\n', max_size=5), min_size=2, max_size=2), max_size=5))
def test_quoted_values_come_back_stripped(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    frame = pd.DataFrame(rows, columns=["one", "two"], dtype=str)
    frame.to_csv(path, index=False, quoting=1)
    kept = [[v.strip() for v in row] for row in rows if any(v.strip() for v in row)]
    assert read_table(path).to_numpy().tolist() == kept


def test_the_first_release_of_nih_has_a_comma_at_each_end(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("Image Index,OriginalImage[Width,Height],\na.png,10,20,\n")
    assert list(read_table(path).columns) == ["Image Index", "OriginalImage[Width", "Height]"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"a,b,a\n1,2,3\n", "two columns of one name: 'a'"),
        (b"a,b\n1,2\n1\n", "data row 2 has 1 values where the header has 2"),
        (b"a,b\n1,2,3\n", "data row 1 has 3 values"),
        (b'a,b\n1,"2\n', "never closed"),
        (b"PK\x03\x04....", "spreadsheet"),
        (b"\x1f\x8bnonsense", "can't be read"),
        (b"a\x00b,c\n1,2\n", "zero bytes"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path, content, words):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_table(path)
    assert words in one_line(error)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        read_table(tmp_path / "absent.csv")


@given(st.lists(st.sampled_from([1, 0, -1, None]), min_size=1))
def test_codes_are_the_numbers_however_written(values):
    forms = {
        1: ["1", "1.0", "+1"],
        0: ["0", "0.0", "-0"],
        -1: ["-1", "-1.0", "-1."],
        None: ["", " "],
    }
    for form in range(2):
        frame = pd.DataFrame({"Mass": [forms[value][form] for value in values]}, dtype=str)
        codes = parse_codes(frame)
        assert list(codes["Mass"]) == ["" if value is None else str(value) for value in values]


@pytest.mark.parametrize("value", ["2", "yes", "0.5", "-2", "1e0", "nan"])
def test_any_other_label_value_is_named_with_its_row_and_count(value):
    frame = pd.DataFrame({"Mass": ["1", "", value, "0", value]})
    with pytest.raises(UserError) as error:
        parse_codes(frame, ["Mass"])
    message = one_line(error)
    shown = repr(value) if value != "1e0" else "3 characters"
    assert all(part in message for part in ("'Mass'", shown, "row 3", "2 such", "1, 0, -1"))


def test_text_that_may_be_a_name_is_not_shown():
    frame = pd.DataFrame({"Mass": ["1", "Featherstonehaugh"]})
    with pytest.raises(UserError) as error:
        parse_codes(frame)
    assert "Featherstonehaugh" not in one_line(error)
    names = pd.Series(["Ann", "Bob", "Mass"], name="who")
    with pytest.raises(UserError) as error:
        findings_to_codes(names, ["Mass", "Nodule"])
    assert "Ann" not in one_line(error)


def test_an_unknown_column_brings_the_nearest():
    with pytest.raises(UserError, match=r"no column 'Mas'. Nearest known: Mass"):
        parse_codes(pd.DataFrame({"Mass": ["1"]}), ["Mas"])


def test_findings_become_codes():
    cells = ["Mass|Nodule", "No Finding", "", " nodule ", "正常", "Mass|Mass"]
    labels, codes = findings_to_codes(pd.Series(cells), ["Nodule", "Mass"])
    assert labels == ["Nodule", "Mass"]
    expected = [("1", "1"), ("0", "0"), ("", ""), ("1", "0"), ("0", "0"), ("0", "1")]
    assert list(codes.itertuples(index=False, name=None)) == expected


def test_an_unknown_finding_brings_the_nearest():
    cells = pd.Series(["Mass", "Nodule", "Effusio"], name="f")
    with pytest.raises(UserError, match=r"Unknown finding 'Effusio' .* Nearest known: Effusion"):
        findings_to_codes(cells, ["Mass", "Nodule", "Effusion"])


@pytest.mark.real
def test_nih_findings_agree_with_its_own_strings(real):
    frame = read_table(real("metadata", "Data_Entry_2017_v2020.csv.gz"))
    labels, codes = findings_to_codes(frame["Finding Labels"])
    assert tuple(labels) == NIH14
    reference = frame["Finding Labels"].str.get_dummies("|")
    for label in labels:
        assert np.array_equal(codes[label] == "1", reference[label] == 1)
    assert (codes == "1").sum().to_dict()["Hernia"] == 227


@pytest.mark.real
def test_one_hot_columns_and_findings_of_one_table_agree(real):
    frame = read_table(real("nih_target", "labels.csv"))
    labels, codes = findings_to_codes(frame["Finding Labels"])
    assert parse_codes(frame, labels).equals(codes)


@pytest.mark.real
def test_chexpert_codes_agree_with_pandas(real):
    path = real("metadata", "chexpert_train.csv.gz")
    reference = pd.read_csv(path, nrows=3000)
    frame = read_table(path).head(3000)
    for label in reference.columns[5:]:
        codes = parse_codes(frame, [label])[label]
        numbers = pd.to_numeric(codes.replace("", None)).to_numpy(float)
        assert np.array_equal(numbers, reference[label].to_numpy(), equal_nan=True)


def test_a_packed_table_is_unpacked_no_further_than_is_allowed(tmp_path, monkeypatch):
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,0\n" * 500_000))
    assert path.stat().st_size < 10_000
    monkeypatch.setattr("data_prep.tables.textfile.MOST_BYTES", 1 << 20)
    with pytest.raises(UserError, match=r"bomb\.csv\.gz holds more than 1 MB of text"):
        read_table(path)


@pytest.mark.parametrize("line", ["1,0\n", "\n"])
def test_a_table_of_too_many_values_is_refused_while_it_is_read(tmp_path, monkeypatch, line):
    path = tmp_path / "long.csv"
    path.write_text("a,b\n" + line * 200_001)
    monkeypatch.setattr("data_prep.tables.table.MOST_VALUES", 1_000_000)
    with pytest.raises(UserError, match="more than 1 million values"):
        read_table(path)
