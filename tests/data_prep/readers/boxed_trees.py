"""Trees in the real layouts of the archives with boxes or masks, made of any films.

Each function writes films, each with its places, into an empty folder; a film shows white where a
place is. Nothing here uses what the readers use.
"""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data_prep.films.synthetic_dicom import dicom, save

Place = tuple[int, int, int, int]  # x, y, width, height, in 64ths of the sides
PLACES: list[list[Place]] = [[(6, 12, 20, 16), (36, 20, 18, 30)], [], [(30, 8, 24, 24)]]
Films = list[tuple[np.ndarray, list[Place]]]


def marked(films: list[np.ndarray]) -> Films:
    """Films (sides of 64 pixels' multiples) darkened, with white places, and those."""
    pairs = zip(films, (PLACES * len(films))[: len(films)], strict=True)
    return [(_drawn(film // 3, places), places) for film, places in pairs]


def _drawn(film: np.ndarray, places: list[Place]) -> np.ndarray:
    film = film.copy()
    for x, y, width, height in pixels(places, film.shape):
        film[y : y + height, x : x + width] = 255
    return film


def pixels(places: list[Place], shape: tuple[int, int]) -> list[Place]:
    """Places in pixels of a picture (H, W)."""
    down, across = (side // 64 for side in shape)
    return [(x * across, y * down, w * across, h * down) for x, y, w, h in places]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def table(path: Path, rows: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def png(path: Path, film: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(film).save(path)


def dcm(path: Path, film: np.ndarray, **header: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save(dicom(film, bits=8, **header), path)


def _vindr_rows(films: Films, reader: bool = True) -> Iterator[list]:
    """Three readers, of whom the third never draws."""
    for number, (film, places) in enumerate(films):
        for who in range(3 if reader else 1):
            drawn = pixels(places, film.shape) if who < 2 else []
            name = [f"{number:032x}", *([f"R{who}"] if reader else [])]
            for x, y, width, height in drawn:
                yield [*name, "Cardiomegaly", x, y, x + width, y + height]
            if not drawn:
                yield [*name, "No finding", "", "", "", ""]


def vindr_kaggle(root: Path, films: Films) -> Path:
    sides = ["x_min", "y_min", "x_max", "y_max"]
    rows = [[i, c, 3 if x != "" else 14, r, x, *rest] for i, r, c, x, *rest in _vindr_rows(films)]
    table(root / "train.csv", [["image_id", "class_name", "class_id", "rad_id", *sides], *rows])
    for number, (film, _) in enumerate(films):
        dcm(root / "train" / f"{number:032x}.dicom", film, PatientID=None)
    return root


def vindr_physionet(root: Path, films: Films) -> Path:
    """The first film to test on, the others to train on."""
    sides = ["x_min", "y_min", "x_max", "y_max"]
    home, first = root / "vindr-cxr" / "1.0.0", f"{0:032x}"
    labels = ["Aortic enlargement", "Cardiomegaly", "COPD"]
    train = [row for row in _vindr_rows(films) if row[0] != first]
    test = [row for row in _vindr_rows(films, reader=False) if row[0] == first]
    head = ["image_id", "rad_id", "class_name", *sides]
    table(home / "annotations" / "annotations_train.csv", [head, *train])
    table(home / "annotations" / "annotations_test.csv", [["image_id", *head[2:]], *test])
    said = [
        [f"{number:032x}", f"R{who}", 0, int(who < 2 and bool(places)), 1, 0, int(not places)]
        for number, (_, places) in enumerate(films)
        for who in range(3)
        if number
    ]
    ends = ["Other diseases", "No finding"]
    table(
        home / "annotations" / "image_labels_train.csv",
        [["image_id", "rad_id", *labels, *ends], *said],
    )
    table(
        home / "annotations" / "image_labels_test.csv",
        [
            ["image_id", *labels, "Other disease", "No finding"],
            [first, 0, int(bool(films[0][1])), 1, 1, 0],
        ],
    )
    for number, (film, _) in enumerate(films):
        dcm(home / ("train" if number else "test") / f"{number:032x}.dicom", film, PatientID=None)
    return root / "vindr-cxr"


def rsna(root: Path, films: Films) -> Path:
    rows = [["patientId", "x", "y", "width", "height", "Target"]]
    classes, mapping = [["patientId", "class"]], []
    for number, (film, places) in enumerate(films):
        name = f"{number:08x}-aaaa-4bbb-8ccc-dddddddddddd"
        dcm(root / "stage_2_train_images" / f"{name}.dcm", film, PatientID=name, ViewPosition="AP")
        said = [[float(16 * side) for side in place] + [1] for place in places]
        for box in said or [["", "", "", "", 0]]:
            rows.append([name, *box])
            other = "Normal" if number % 2 else "No Lung Opacity / Not Normal"
            classes.append([name, "Lung Opacity" if places else other])
        mapping.append({"subset_img_id": name, "img_id": f"{number // 2 + 7:08d}_{number:03d}.png"})
    table(root / "stage_2_train_labels.csv", rows)
    table(root / "stage_2_detailed_class_info.csv", classes)
    write(root / "pneumonia-challenge-dataset-mappings_2018.json", json.dumps(mapping))
    return root


def runs(mask: np.ndarray) -> str:
    """A mask as the competition writes it, down the columns; each gap begins after the last run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel(), [0]])))
    return " ".join(map(str, np.diff(edges, prepend=0))) or "-1"


def siim(root: Path, films: Films) -> Path:
    rows = [["ImageId", " EncodedPixels"]]
    for number, (film, places) in enumerate(films):
        uid = f"1.2.276.0.7230010.3.1.4.8323329.{6900 + number}.1517875201.{850819 + number}"
        folder = root / "dicom-images-train" / f"1.2.276.1.{number}" / f"1.2.276.2.{number}"
        dcm(folder / f"{uid}.dcm", film, SOPInstanceUID=uid, PatientID=f"p{number}")
        said = []
        for x, y, width, height in ([16 * side for side in place] for place in places):
            mask = np.zeros((1024, 1024), bool)
            mask[y : y + height, x : x + width] = True
            said.append(" " + runs(mask))
        rows += [[uid, run] for run in said or [" -1"]]
    table(root / "train-rle.csv", rows)
    return root


def _nlm(root: Path, films: Films, prefix: str, text: str, masks: Callable) -> Path:
    for number, (film, places) in enumerate(films):
        stem = f"{prefix}_{number + 1:04d}_{number % 2}"
        png(root / "CXR_png" / f"{stem}.png", film)
        write(root / "ClinicalReadings" / f"{stem}.txt", text)
        for place, path in masks(root, stem, places):
            png(path, _drawn(np.zeros_like(film), place))
    return root


def shenzhen(root: Path, films: Films) -> Path:
    def masks(home, stem, places):
        return [(places, home / "mask" / f"{stem}_mask.png")] if places else []

    home = root / "ChinaSet_AllFiles"
    return _nlm(home, films, "CHNCXR", "Female  35yrs\r\nnormal, 2 mm\r\n", masks)


def montgomery(root: Path, films: Films) -> Path:
    def masks(home, stem, places):
        sides = zip(places, ("left", "right"), strict=False)
        return [([p], home / "ManualMask" / f"{side}Mask" / f"{stem}.png") for p, side in sides]

    home = root / "MontgomerySet"
    return _nlm(home, films, "MCUCXR", "Patient's Sex: M\nPatient's Age: 057Y\nnormal\n", masks)


def chestx_det(root: Path, films: Films) -> Path:
    for split in ("train", "test"):
        entries = []
        for number, (film, places) in enumerate(films):
            if (number == 0) == (split == "test"):
                said = [[x, y, x + w, y + h] for x, y, w, h in pixels(places, film.shape)]
                corners = [[[a, b], [c, b], [c, d], [a, d]] for a, b, c, d in said]
                name = f"{36199 + number}.png" if number else "00000042_006.png"
                syms = ["Diffuse Nodule", "Effusion"][: len(said)]
                about = {"syms": syms, "boxes": said, "polygons": corners}
                entries.append({"file_name": name, **about})
                png(root / f"{split}_data" / name, film)
        write(root / f"ChestX_Det_{split}.json", json.dumps(entries))
    return root


def _tbx(root: Path, films: Films) -> Iterator[tuple[str, str, list[list[int]]]]:
    """Split, name and corners of each film, after writing it; the films are 512 x 512."""
    for number, (film, places) in enumerate(films):
        name = f"tb/tb{number:04d}" if places else f"health/h{number:04d}"
        png(root / "imgs" / f"{name}.png", film)
        yield "val" if number else "train", name, [[8 * side for side in place] for place in places]


def tbx11k(root: Path, films: Films) -> Path:
    home = root / "TBX11K"
    kinds = ["ActiveTuberculosis", "ObsoletePulmonaryTuberculosis", "PulmonaryTuberculosis"]
    ids = [{"id": n, "name": k, "supercategory": "Tuberculosis"} for n, k in enumerate(kinds, 1)]
    files: dict[str, dict] = {}
    for number, (split, name, boxes) in enumerate(_tbx(home, films)):
        file = files.setdefault(split, {"images": [], "annotations": [], "categories": ids})
        size = {"width": 512, "height": 512}
        file["images"].append({"id": number, "file_name": f"{name}.png", **size})
        for kind, box in enumerate(boxes, start=1):
            area = {"area": box[2] * box[3], "iscrowd": 0, "id": len(file["annotations"])}
            file["annotations"].append(
                {"image_id": number, "category_id": kind, "bbox": box, **area}
            )
    for split, file in files.items():
        write(home / "annotations" / "json" / f"TBX11K_{split}.json", json.dumps(file))
    return home


def tbx11k_xml(root: Path, films: Films) -> Path:
    home = root / "TBX11K"
    lists: dict[str, list[str]] = {}
    for split, name, boxes in _tbx(home, films):
        lists.setdefault(split, []).append(f"{name}.png")
        objects = "".join(
            f"<object><name>{kind}</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
            f"<xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>"
            for kind, (x, y, w, h) in zip(
                ("ActiveTuberculosis", "ObsoletePulmonaryTuberculosis"), boxes, strict=False
            )
        )
        size = "<size><width>512</width><height>512</height><depth>3</depth></size>"
        if boxes:
            said = f"<annotation>{size}{objects}</annotation>"
            write(home / "annotations" / "xml" / f"{name.partition('/')[2]}.xml", said)
    for split, names in lists.items():
        write(home / "lists" / f"TBX11K_{split}.txt", "\n".join(names) + "\n")
    return home


TREES: dict[str, tuple[str, Callable[[Path, Films], Path]]] = {
    "vindr_kaggle": ("vindr", vindr_kaggle),
    "vindr_physionet": ("vindr", vindr_physionet),
    "rsna": ("rsna", rsna),
    "siim": ("siim", siim),
    "shenzhen": ("shenzhen", shenzhen),
    "montgomery": ("montgomery", montgomery),
    "chestx_det": ("chestx_det", chestx_det),
    "tbx11k": ("tbx11k", tbx11k),
    "tbx11k_xml": ("tbx11k", tbx11k_xml),
}
"""Layout -> the reader and what writes the tree."""
