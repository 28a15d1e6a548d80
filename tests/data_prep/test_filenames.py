"""Names of files that aren't UTF-8, or hold control characters: used or refused, never fatal."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.dataset.prepare import prepare
from data_prep.filenames import printable
from data_prep.tables.matching import FileIndex
from data_prep.tables.table import read_table
from tests.data_prep.readers.archives import film, table_source, write_csv, write_dicom, write_png

ODD = {
    b"caf\xe9.png": r"caf\xe9.png",
    b"\xa4\xa4\xa4\xe5.png": r"\xa4\xa4\xa4\xe5.png",
    b"two\nlines.png": r"two\nlines.png",
    b"\x1b[2Jbell\x07.png": r"\x1b[2Jbell\x07.png",
    b" blank .png": r"\x20blank .png",
    b"fine \xc3\xa9.png": "fine é.png",
}
FAST = {"key": bytes(32), "size": 32, "workers": 0, "progress": False}


@pytest.mark.parametrize("name", ODD)
def test_names_are_printed_escaped(name):
    assert printable(os.fsdecode(name)) == ODD[name]


@given(st.binary(min_size=1, max_size=12))
def test_any_name_becomes_one_line_of_utf8(name):
    text = printable(os.fsdecode(name.replace(b"\0", b"0")))
    assert text.encode()
    assert text == text.strip()
    assert len(text.splitlines()) == 1
    assert not any(ord(character) < 32 for character in text)


def odd_folder(root: Path) -> Path:
    """`films/` with odd names, one of a folder too; DICOM, PNG and what is neither."""
    folder = root / "films"
    for seed, name in enumerate([b"plain.png", *ODD]):
        write_png(folder / os.fsdecode(name), film(seed))
    write_png(folder / os.fsdecode(b"d\xe9p\xf4t") / "inside.png", film(20))
    write_dicom(folder / os.fsdecode(b"m\xfcller.dcm"), 21)
    (folder / os.fsdecode(b"not\xff.png")).write_bytes(b"nothing")
    return folder


def test_prepare_uses_or_lists_every_odd_name(tmp_path):
    folder = odd_folder(tmp_path)
    names = ["plain.png", "café.png", "two\nlines.png", "inside.png", "müller.dcm", "fine é.png"]
    table = [["image", "Mass"], *([name, n % 2] for n, name in enumerate(names))]
    table.append(["notÿ.png", 1])
    out = tmp_path / os.fsdecode(b"d\xe9r")
    for _ in range(2):  # the second call finds all done
        done = prepare(table_source(folder, write_csv(tmp_path / "t.csv", table)), out, **FAST)
    images = read_table(done.out / "manifest.csv")
    found = set(images["source_id"])
    assert {"plain.png", r"caf\xe9.png", r"two\nlines.png", "fine é.png"} < found
    assert r"d\xe9p\xf4t/inside.png" in found
    assert len(images) == len(names)
    rejected = dict(read_table(done.out / "rejected.csv").to_numpy().tolist())
    assert rejected[r"not\xff.png"].startswith("neither DICOM")
    assert rejected[r"\x1b[2Jbell\x07.png"] == "no row in the table"
    assert all((done.out / image).is_file() for image in images["image"])
    linkage = tmp_path / "linkage.csv"
    prepare(table_source(folder, tmp_path / "t.csv"), out, linkage=linkage, **FAST)
    assert len(read_table(linkage)) == len(names)


def test_a_name_in_utf8_goes_before_one_that_only_reads_so(tmp_path):
    for seed, name in enumerate(("café.png".encode(), b"caf\xe9.png")):
        write_png(tmp_path / os.fsdecode(name), film(seed))
    assert FileIndex(tmp_path).find("café.png", "Data row 1") == "café.png"


def test_prep_from_the_command_line_ends_well(tmp_path):
    """Everything that is printed goes to a terminal that takes UTF-8 only."""
    folder = odd_folder(tmp_path)
    table = write_csv(tmp_path / os.fsdecode(b"t\xe9.csv"), [["image", "Mass"], ["plain", 1]])
    out = tmp_path / os.fsdecode(b"o\xff")
    words = ["prep", "table", "--images", folder, "--labels", table, "--out", out]
    words += ["--key-file", tmp_path / "key", "--image-size", 32, "--workers", 0]
    call = [sys.executable, "-c", "from cxrkeras.cli import main; main()", *map(str, words)]
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(call, env=strict, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert rb"o\udcff" in done.stdout
    assert len(read_table(out / "rejected.csv")) == len(ODD) + 3
    assert np.all(read_table(out / "manifest.csv")["image"] == "images/plain.png")
