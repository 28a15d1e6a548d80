"""Trees in the layouts of the public archives, made of real films or of noise."""

import csv
import os
from pathlib import Path

import pandas as pd
from PIL import Image

from data_prep.tables.vocabulary import CHEXPERT14
from tests.data_prep.readers.archives import film, write_png

NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
CHEXPERT_HEADER = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT14]
NIH_ROWS = [  # image, findings, patient, age, sex, view
    ("00000001_000.png", "Cardiomegaly", 1, 57, "M", "PA"),
    ("00000001_001.png", "Cardiomegaly|Effusion", 1, 58, "M", "PA"),
    ("00000002_000.png", "No Finding", 2, 80, "F", "AP"),
    ("00000003_000.png", "Hernia|Infiltration", 3, 81, "F", "PA"),
    ("00000003_001.png", "No Finding", 3, 74, "F", "PA"),
]


def nih_table(rows=NIH_ROWS, first_release: bool = False) -> str:
    """`Data_Entry_2017.csv`: the first release has ages like 058Y and a trailing comma."""
    end = "," if first_release else ""
    lines = [NIH_HEADER + end]
    for image, findings, patient, age, sex, view in rows:
        years = f"{age:03d}Y" if first_release else age
        lines.append(
            f"{image},{findings},0,{patient},{years},{sex},{view},2682,2749,0.143,0.143{end}"
        )
    return "\n".join(lines) + "\n"


def nih_tree(root: Path, layout: str = "twelve", table: str | None = None, side: int = 24) -> Path:
    """Noise films of `NIH_ROWS` in one of the archive's layouts, with table and lists."""
    for number, (image, *_) in enumerate(NIH_ROWS):
        folder = {"twelve": f"images_{1 + number // 2:03d}/images", "one": "images", "loose": "."}
        write_png(root / folder[layout] / image, film(number, side))
    (root / "Data_Entry_2017_v2020.csv").write_text(table or nih_table())
    (root / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n00000002_000.png")
    (root / "test_list.txt").write_text("00000003_000.png\r\n00000003_001.png\r\n")
    return root


def real_nih_tree(root: Path, real, every: int) -> pd.DataFrame:
    """Some films of `nih_source` hard-linked (or copied) into the archive's layout.

    Returns:
        What their collector's own table says of them.
    """
    known = pd.read_csv(real("nih_source", "labels.csv")).iloc[::every].reset_index(drop=True)
    for number, image in enumerate(known["Image Index"]):
        target = root / f"images_{1 + number % 12:03d}" / "images" / image
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(real("nih_source", "images") / image, target)
    for name in ("Data_Entry_2017_v2020.csv.gz", "train_val_list.txt.gz", "test_list.txt.gz"):
        _link(real("metadata", name), root / name)
    return known


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        target.write_bytes(source.read_bytes())


def chexpert_rows(release: str = "CheXpert-v1.0") -> dict[str, list[list]]:
    """Table -> rows in CheXpert's columns: two patients to train on, one each to test."""
    films = {
        "train": [
            "00001/study1/view1_frontal",
            "00002/study2/view1_frontal",
            "00002/study1/view1_frontal",
            "00002/study1/view2_lateral",
        ],
        "valid": ["64541/study1/view1_frontal"],
        "test": ["64741/study1/view1_frontal", "64741/study1/view2_lateral"],
    }
    codes = ["1.0", "", "-1.0", "0.0", *[""] * 10]
    return {
        split: [
            [
                f"{release}/{split}/patient{name}.jpg",
                "Female",
                60 + number,
                "Lateral" if "lateral" in name else "Frontal",
                "" if "lateral" in name else ("AP", "PA")[number % 2],
                *codes[number:],
                *codes[:number],
            ]
            for number, name in enumerate(names)
        ]
        for split, names in films.items()
    }


def chexpert_tree(root: Path, release: str = "CheXpert-v1.0", splits=("train", "valid")) -> Path:
    """Noise films and tables in CheXpert's layout below `root/release`; returns that folder."""
    folder = root / release
    seed = 0
    for split, rows in chexpert_rows(release).items():
        for row in rows if split in splits else ():
            path = root / row[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(film(seed, 48)).save(path, quality=95)
            seed += 1
        if split in splits:
            with (folder / f"{split}.csv").open("w", newline="") as file:
                csv.writer(file).writerows([CHEXPERT_HEADER, *rows])
    return folder


def real_chexpert_tree(root: Path, real, every: int) -> Path:
    """Films of `nih_source` as JPEG under CheXpert's layout, with CheXpert's codes for them.

    Positive findings are 1, every third absent one is uncertain, every other third is blank.
    """
    known = pd.read_csv(real("nih_source", "labels.csv")).iloc[::every]
    studies: dict[int, int] = {}
    rows = []
    columns = ["Image Index", "Patient ID", "Patient Age", "Patient Gender", "View Position"]
    known = known[[*columns, "Effusion", "Edema"]]
    for image, patient, age, sex, view, effusion, edema in known.itertuples(index=False):
        studies[patient] = studies.get(patient, 0) + 1
        split = "valid" if patient % 5 == 0 else "train"
        name = f"patient{patient:05d}/study{studies[patient]}/view1_frontal.jpg"
        path = root / "CheXpert-v1.0-small" / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(real("nih_source", "images") / image) as picture:
            picture.convert("L").save(path, quality=90)
        codes = dict.fromkeys(CHEXPERT14, "")
        absent = ("-1.0", "", "0.0")[len(rows) % 3]
        codes["Pleural Effusion"] = "1.0" if effusion else absent
        codes["Edema"] = "1.0" if edema else absent
        about = ["Male" if sex == "M" else "Female", age, "Frontal", view]
        rows.append([f"CheXpert-v1.0-small/{split}/{name}", *about, *codes.values()])
    folder = root / "CheXpert-v1.0-small"
    for split in ("train", "valid"):
        with (folder / f"{split}.csv").open("w", newline="") as file:
            chosen = [row for row in rows if f"/{split}/" in row[0]]
            csv.writer(file).writerows([CHEXPERT_HEADER, *chosen])
    return folder
