"""Small raw archives for the tests: films that differ, a table, and a folder's bytes."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from data_prep.readers import chexpert, eda, nih, table
from data_prep.readers.shared.records import Source
from tests.data_prep.films.synthetic_dicom import dicom, save


def table_source(folder: Path, labels: Path, name: str = "", **options) -> Source:
    """A folder and its table as `cxrkeras prep table` reads them."""
    return table.Part(labels=labels, **options).read(folder, name or folder.name)


def eda_source(folder: Path, rows: Path, **options) -> Source:
    return eda.Part(table=rows, **options).read(folder, "e-da")


def nih_source(root: Path, **options) -> Source:
    return nih.Part(**options).read(root, "nih")


def chexpert_source(root: Path, **options) -> Source:
    return chexpert.Part(**options).read(root, "chexpert")


def film(seed: int, side: int = 96) -> np.ndarray:
    """(side, side) uint8: blurred noise over a slope; two seeds never look alike."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), side / 24)
    slope = np.linspace(0, 2 * noise.std(), side)[:, None]
    picture = noise + slope
    picture = (picture - picture.min()) / np.ptp(picture)
    return np.rint(255 * picture).astype(np.uint8)


def write_png(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_dicom(path: Path, seed: int, **fields: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(dicom(film(seed), bits=8, **fields), path)


def write_csv(path: Path, rows: list[list], encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows(rows)
    return path


def archive(folder: Path, count: int = 6) -> tuple[Path, Path]:
    """A folder of PNG films and a table with two 0/1 columns and two images per patient."""
    rows = [["image", "patient", "Mass", "Nodule"]]
    for number in range(count):
        write_png(folder / "films" / f"f{number}.png", film(number))
        rows.append([f"f{number}.png", f"P-{number // 2}", number % 2, int(number % 3 == 0)])
    return folder / "films", write_csv(folder / "labels.csv", rows)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too, with its bytes."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def dicom_archive(folder: Path) -> Source:
    """Three DICOM films of one patient and study, read with their table."""
    for number in range(3):
        write_dicom(folder / f"{number}.dcm", number, StudyInstanceUID="1.2.826.0.1.77")
    rows = [["image", "Mass"], *([f"{n}.dcm", n % 2] for n in range(3))]
    return table_source(folder, write_csv(folder.parent / "t.csv", rows))
