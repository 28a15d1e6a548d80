"""Random tables of labels, through the whole of `cxrkeras prep table` on four tiny images."""

import csv
import gzip
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.fuzz.command import called
from tests.fuzz.crew import MEMORY
from tests.fuzz.mutate import harmed

_ENCODINGS = ("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252", "gb18030", "utf-32")
_IMAGES = ("a.png", "b.png", "c.png", "d.png")
_KEYS = (*_IMAGES, "a", "A.PNG", "./a.png", "../a.png", "absent.png", "", " b.png ", "images/a.png")
_CODES = ("0", "1", "-1", "", "0.0", "1.0", "2", "Y", "N", "yes", "TRUE", "nan", "NaN", "inf", "x")
_FINDINGS = ("Mass", "Mass|Effusion", "No Finding", "", "COVID-19, ARDS", "|", "Mass||Mass", "Ödem")
_ODD = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    '=HYPERLINK("http://x")',
    "\0",
    "\x1b[2J",
    "\r",
    "\n",
    '"',
    "''",
    ",",
    ";",
    "\t",
    "\ufeff",
    "\u202e",
    "\U0001f480",
    "\udcff",
    "é" * 300,
    "1e999",
    "9" * 400,
    "../../etc/passwd",
    "%s%n",
    "{0}",
    " ",
)
_HEADERS = (
    ("image", "file", "Image Index", "filename", "path", "id"),
    ("patient", "Patient ID", "MRN", "subject", "patientid"),
    ("sex", "Patient Gender", "age", "Patient Age", "view", "View Position", "split", "study"),
    ("Mass", "Effusion", "Finding Labels", "finding", "labels", "Ödem", "Unnamed: 3", "0", ""),
)


class Mutants:
    """Table mutants of one seed."""

    memory = MEMORY

    def __init__(self, seed: int, folder: Path):
        self._seed, self._folder = seed, folder
        self._plain, self._odd = folder / "films", folder / "odd"
        for place, images in enumerate((self._plain, self._odd)):
            images.mkdir(exist_ok=True)
            for number, name in enumerate(_IMAGES):
                _film(number).save(images / name)
            if place:  # names that some file systems hold, and no encoding
                _film(9).save(images / "e.png")
                for name in (b"\xff\xfe.png", b"=1+1.png", b"new\nline.png", b"-rf.png"):
                    shutil.copy(images / "e.png", os.path.join(os.fsencode(images), name))
        self._table, self._out = folder / "labels.csv", folder / "out"

    def make(self, number: int) -> str:
        """Write a table; gives what it is."""
        rng = np.random.default_rng([self._seed, 2, number])
        names, rows = _columns(rng), int(rng.choice([0, 1, 4, 4, 4, 30, 300]))
        rows = min(rows, 4) if len(names) > 100 else rows
        tame = float(rng.choice([1, 1, 0.995, 0.9]))  # the share of ordinary cells
        cells = [[_cell(name, rng, tame) for name in names] for _ in range(rows)]
        separator = str(rng.choice([",", ",", ",", ";", "\t", "|"]))
        encoding = str(rng.choice(_ENCODINGS))
        text = _text([names, *cells], separator, rng)
        content, said = text.encode(encoding, "replace"), f"{encoding} {separator!r} {rows} rows"
        if rng.random() < 0.2:
            content, more = harmed(content, rng)
            said += f" {more}"
        self._table = self._folder / f"labels.{rng.choice(['csv', 'csv', 'tsv', 'txt', 'csv.gz'])}"
        packed = self._table.suffix == ".gz" and rng.random() < 0.8
        self._table.write_bytes(gzip.compress(content, mtime=0) if packed else content)
        self._images = self._odd if rng.random() < 0.3 else self._plain
        self._options = _options(names, rng)
        return f"{said} {self._table.name} {self._images.name} {' '.join(self._options)!r}"

    def read(self) -> tuple[str, str]:
        """Prepare a dataset of it."""
        words = ["prep", "table", "--images", str(self._images), "--labels", str(self._table)]
        words += ["--out", str(self._out), "--key-file", str(self._folder / "key")]
        try:
            return called([*words, "--workers", "0", "--image-size", "32", *self._options])
        finally:
            self._table.unlink(missing_ok=True)
            shutil.rmtree(self._out, ignore_errors=True)


def _film(number: int) -> Image.Image:
    values = np.random.default_rng(number).integers(0, 256, (40, 32))
    return Image.fromarray(values.astype(np.uint8)).resize((160, 200), Image.Resampling.BICUBIC)


def _columns(rng: np.random.Generator) -> list[str]:
    names = [str(rng.choice(kind)) for kind in _HEADERS if rng.random() < 0.9]
    names += [name for name in _HEADERS[3][:3] if name not in names and rng.random() < 0.3]
    if rng.random() < 0.01:
        names += [f"L{number}" for number in range(20_000)]
    if rng.random() < 0.05:
        names.append(str(rng.choice(_ODD)))
    if names and rng.random() < 0.03:
        names.append(names[0])
    rng.shuffle(names)
    return names


def _cell(name: str, rng: np.random.Generator, tame: float) -> str:
    if rng.random() > tame:
        return _pick(_ODD, rng)
    if rng.random() < 0.001:
        return "x" * 200_000
    if name in _HEADERS[0]:
        return _pick(_IMAGES if rng.random() < tame else _KEYS, rng)
    if name in _HEADERS[1] or name in _HEADERS[2]:
        return _pick(["1", "2", "3", "M", "F", "050Y", "57", "-3", "1e9", "PA", "train", ""], rng)
    if name in ("Finding Labels", "finding", "labels"):
        return _pick(_FINDINGS, rng)
    return _pick(_CODES[:4] if rng.random() < tame else _CODES, rng)


def _pick(values: Sequence[str], rng: np.random.Generator) -> str:
    """As `rng.choice`, in a tenth of the time."""
    return values[int(rng.integers(len(values)))]


def _text(rows: list[list[str]], separator: str, rng: np.random.Generator) -> str:
    quoted = csv.QUOTE_ALL if rng.random() < 0.2 else csv.QUOTE_MINIMAL
    lines = []

    class Lines:
        write = staticmethod(lines.append)

    careless = rng.random() < 0.05
    writer = csv.writer(Lines, delimiter=separator, quoting=quoted, lineterminator="\n")
    for row in rows:
        if careless or "\0" in "".join(
            row
        ):  # as people and programs write tables without a library
            lines.append(separator.join(row) + "\n")
        else:
            writer.writerow(row)
        if rng.random() < 0.002:
            lines.append(separator * int(rng.integers(0, 9)) + "\n")
    return str(rng.choice([*[""] * 9, "\n", "# a remark\n", "sep=;\n"])) + "".join(lines)


def _options(names: list[str], rng: np.random.Generator) -> list[str]:
    found = []
    for option in ("--image-column", "--patient-column", "--findings-column", "--labels-from"):
        if rng.random() < 0.1:
            given = str(rng.choice([*names, "absent"])) if names else "absent"
            found.append(f"{option}={given}".replace("\0", ""))
    if rng.random() < 0.1:
        found.append(f"--limit={int(rng.integers(1, 5))}")
    return found
