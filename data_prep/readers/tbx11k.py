"""TBX11K: 11,200 films with boxes of tuberculosis, of which 8,400 have public labels.

ROOT is TBX11K, or the folder that contains it: films in imgs/health, imgs/sick and imgs/tb; the
labels in annotations/json (TBX11K_train.json, TBX11K_val.json) or, without them, in
annotations/xml with the lists lists/TBX11K_train.txt and TBX11K_val.txt. A part of them will do.
The parts become train and val in the column `split`; the films to test on have no public labels.

The labels: Active or Old Tuberculosis; ActiveTuberculosis and ObsoletePulmonaryTuberculosis, its
kinds, by the boxes; and `Sick but non-TB`, by the folder. Healthy films are all-zero rows. A film
with tuberculosis of no known kind (a box of PulmonaryTuberculosis, or in imgs/tb without a box) is
blank in both kinds.

imgs/extra holds the sets of Montgomery and Shenzhen: they are left out here, and TBX11K's lists of
`all` aren't read. Patients aren't told.

None of it was at hand: all formats could only be read from their documentation.

Download: https://github.com/yun-liu/Tuberculosis
Terms: research without commercial interest (CC BY-NC-SA)

Source: Liu Y, Wu YH, Ban Y, Wang H, Cheng MM. Rethinking Computer-aided Tuberculosis Diagnosis.
CVPR 2020. Liu Y, Wu YH, Zhang SC, Liu L, Wu M, Cheng MM. Revisiting Computer-Aided Tuberculosis
Diagnosis. IEEE Trans Pattern Anal Mach Intell 2024;46(4):2316-2332

Examples:
  cxrkeras prep tbx11k TBX11K --out data/tbx11k
  cxrkeras prep tbx11k TBX11K --out data/tbx11k-1k --limit 1000
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import ClassVar, NamedTuple, Self
from xml.etree import ElementTree

from data_prep.errors import UserError
from data_prep.readers import Reader, named_alike
from data_prep.readers.shared.archive import ROLES, ArchiveTable, archive_source, located
from data_prep.readers.shared.example import write_film
from data_prep.readers.shared.places import box_of_corners, scaled, with_boxes
from data_prep.readers.shared.records import Box, Source
from data_prep.tables.jsonfile import read_object
from data_prep.tables.matching import FileIndex
from data_prep.tables.textfile import read_names, read_text
from data_prep.tables.vocabulary import folded, nearest

EITHER, ACTIVE, OBSOLETE = (
    "Active or Old Tuberculosis",
    "ActiveTuberculosis",
    "ObsoletePulmonaryTuberculosis",
)
SICK, UNKNOWN = "Sick but non-TB", "PulmonaryTuberculosis"
LABELS = (EITHER, ACTIVE, OBSOLETE, SICK)
_KINDS = {folded(kind): kind for kind in (ACTIVE, OBSOLETE, UNKNOWN)}
_FOLDERS = ("health", "sick", "tb")
_SPLITS = ("train", "val")


class _Film(NamedTuple):
    """What the annotations say of a film."""

    image: str
    split: str
    boxes: tuple[Box, ...]


class Part(Reader):
    """A film's class is the folder that its annotations name, its kinds those of its boxes."""

    findings: ClassVar[Mapping[str, str]] = {**named_alike(LABELS), UNKNOWN: EITHER}
    marks: ClassVar[Mapping[str, str]] = {
        "annotations/json/TBX11K_*.json": "",
        "lists/TBX11K_*.txt": "",
    }

    def read(self, raw: Path, name: str) -> Source:
        """Read the archive, see `Reader.read`."""
        paths = [
            path for split in _SPLITS if (path := _one(raw, "annotations/json", split, "json"))
        ]
        if paths:
            films = [film for path in paths for film in _of_json(path)]
        else:
            paths = [path for split in _SPLITS if (path := _one(raw, "lists", split, "txt"))]
            films = [film for path in paths for film in _of_xml(path)]
        if not films:
            raise UserError(
                f"There is no annotations/json/TBX11K_train.json or lists/TBX11K_train.txt in "
                f"{raw}. Give the folder TBX11K that holds `imgs` and `annotations`."
            )
        names = ", ".join(path.name for path in paths)
        root = paths[0].parents[1 if paths[0].suffix == ".txt" else 2]
        source = archive_source(
            tbx11k_table(films, names),
            FileIndex(root / "imgs" if (root / "imgs").is_dir() else root),
            name=name,
            origin=f"TBX11K, {names}",
            citation=self.citation_said(),
            others=False,
        )
        return with_boxes(source, [box for film in films for box in film.boxes], names)

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """Three films to train on and one to validate on, see `Reader.example`."""
        kinds = [
            {"id": n, "name": k, "supercategory": "Tuberculosis"}
            for n, k in enumerate((ACTIVE, OBSOLETE, UNKNOWN), start=1)
        ]
        for split, films in {
            "train": ("health/h0001", "sick/s0001", "tb/tb0003"),
            "val": ("tb/tb0005",),
        }.items():
            images, drawn = [], []
            for number, film in enumerate(films, start=1):
                write_film(folder / "imgs" / f"{film}.png", sum(film.encode()))
                size = {"width": 512, "height": 512}
                images.append({"id": number, "file_name": f"{film}.png", **size})
                if film.startswith("tb"):
                    kind = 1 if split == "train" else 3
                    drawn.append(
                        {"image_id": number, "category_id": kind, "bbox": [64, 80, 100, 128.5]}
                    )
            path = folder / "annotations" / "json" / f"TBX11K_{split}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                json.dumps({"images": images, "annotations": drawn, "categories": kinds})
            )
        return folder, cls()


def _one(root: Path, folder: str, split: str, suffix: str) -> Path | None:
    return next(iter(located(root, (f"{folder}/TBX11K_{split}.{suffix}",))), None)


def _of_json(path: Path) -> Iterator[_Film]:
    """The films of a file in COCO's form."""
    content, split = read_object(path), path.stem.rpartition("_")[2]
    try:
        kinds = {kind["id"]: _kind(kind["name"], path.name) for kind in content["categories"]}
        boxes: dict[object, list] = {}
        for drawn in content["annotations"]:
            x, y, width, height = map(float, drawn["bbox"])
            corners = (x, y, x + width, y + height)
            boxes.setdefault(drawn["image_id"], []).append((kinds[drawn["category_id"]], corners))
        for image in content["images"]:
            size = float(image["width"]), float(image["height"])
            yield _film(image["file_name"], split, boxes.get(image["id"], []), size, path.name)
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{path.name} isn't in COCO's form, with images, annotations and categories. Download "
            "it again."
        ) from None


def _of_xml(path: Path) -> Iterator[_Film]:
    """The films of a list, with their boxes in Pascal VOC's form."""
    folder, split = path.parents[1] / "annotations" / "xml", path.stem.rpartition("_")[2]
    for name in read_names(path):
        film = PurePosixPath(name).with_suffix(".png").as_posix()
        said = folder / f"{PurePosixPath(film).stem}.xml"
        boxes, size = _objects(said) if said.is_file() else ([], (1.0, 1.0))
        yield _film(film, split, boxes, size, said.name)


def _objects(path: Path) -> tuple[list, tuple[float, float]]:
    text = read_text(path)
    try:
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ValueError
        root = ElementTree.fromstring(text)
        size = tuple(float(root.findtext(f"size/{side}")) for side in ("width", "height"))
        boxes = [
            (
                _kind(item.findtext("name") or "", path.name),
                [
                    float(item.findtext(f"bndbox/{side}"))
                    for side in ("xmin", "ymin", "xmax", "ymax")
                ],
            )
            for item in root.iter("object")
        ]
    except (ElementTree.ParseError, TypeError, ValueError):
        raise UserError(
            f"{path.name} isn't in Pascal VOC's form, with size, object and bndbox. Download it "
            "again."
        ) from None
    return boxes, size


def _kind(name: str, where: str) -> str:
    if folded(name) not in _KINDS:
        raise UserError(f"{where} has the finding {name!r}. {nearest(name, _KINDS.values())}")
    return _KINDS[folded(name)]


def _film(image: str, split: str, drawn: list, size: tuple[float, float], where: str) -> _Film:
    image = image.replace("\\", "/").removeprefix("imgs/")
    if image.partition("/")[0] not in _FOLDERS:
        raise UserError(
            f"{where} names a film outside imgs/health, imgs/sick and imgs/tb. Read TBX11K_train "
            "and TBX11K_val, not the lists of `all`."
        )
    boxes = []
    for kind, corners in drawn:
        label = EITHER if kind == UNKNOWN else kind
        boxes.append(scaled(box_of_corners(image, label, corners, where), *size))
    return _Film(image, split, tuple(boxes))


def tbx11k_table(films: list[_Film], name: str) -> ArchiveTable:
    """One row per film."""
    import pandas as pd

    frame = pd.DataFrame(
        [{"image": film.image, "split": film.split, **_codes(film)} for film in films]
    ).reindex(columns=[*ROLES, *LABELS], fill_value="")
    boxes = sum(len(film.boxes) for film in films)
    notes = [f"{name}: {len(films):,} films, {boxes:,} boxes"]
    if unmarked := int((frame[EITHER].eq("1") & frame[ACTIVE].eq("")).sum()):
        notes.append(f"kind of tuberculosis: unknown of {unmarked:,} films, left blank")
    return ArchiveTable(frame, LABELS, tuple(notes))


def _codes(film: _Film) -> dict[str, str]:
    """Labels by the folder and the boxes."""
    folder, kinds = film.image.partition("/")[0], {box.label for box in film.boxes}
    ill = folder == "tb" or bool(kinds)
    unsure = EITHER in kinds or (ill and not kinds)
    of_kind = {k: "1" if k in kinds else "" if unsure else "0" for k in (ACTIVE, OBSOLETE)}
    return {EITHER: str(int(ill)), **of_kind, SICK: str(int(folder == "sick"))}
