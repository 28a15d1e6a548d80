"""CheXpert of Stanford: 223,414 films of 64,540 patients to train on, 234 and 668 to test.

ROOT is CheXpert-v1.0 or CheXpert-v1.0-small, or the folder that contains it; a part of the images
will do. train.csv, valid.csv and the test set's table (per film, or one row per study) become
train, valid and test in the column `split`. Patient and study come from the path and stay.

The codes are kept: 1, 0, -1 uncertain, blank not mentioned. What uncertain and blank mean is chosen
in training and evaluation (--uncertain, --blank). Tables with other headings (underscores, foreign
paths) or new labels (CheXbert) can be given with --table.

Download: https://stanfordmlgroup.github.io/competitions/chexpert/
Terms: non-commercial research under Stanford's agreement; the films may not be passed on

Source: Irvin J, Rajpurkar P, Ko M, et al. CheXpert: A Large Chest Radiograph Dataset with
Uncertainty Labels and Expert Comparison. AAAI 2019.
https://stanfordmlgroup.github.io/competitions/chexpert/

Examples:
  cxrkeras prep chexpert CheXpert-v1.0-small --out data/chexpert --image-size 320
  cxrkeras prep chexpert CheXpert-v1.0 --out data/chexpert5 --label-set chexpert5
  cxrkeras prep chexpert CheXpert-v1.0 --out data/valid \\
      --table CheXpert-v1.0/valid.csv --views all
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from data_prep.errors import UserError
from data_prep.readers import VIEWS, Reader
from data_prep.readers.shared.archive import (
    ROLES,
    ArchiveTable,
    archive_source,
    located,
    with_views,
)
from data_prep.readers.shared.chexpert_paths import Place, place_of
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.records import Source
from data_prep.registry import option
from data_prep.tables.columns import usual_column
from data_prep.tables.matching import FileIndex
from data_prep.tables.table import parse_codes, read_table
from data_prep.tables.vocabulary import CHEXPERT5, CHEXPERT14, canonical, nearest

if TYPE_CHECKING:
    import pandas as pd

LABELS = {"chexpert14": CHEXPERT14, "chexpert5": CHEXPERT5}
_TABLES = {
    "train": ("train.csv",),
    "valid": ("valid.csv", "val_labels.csv"),
    "test": ("test.csv", "test_labels.csv", "groundtruth.csv"),
}
_ENDS = ("", ".gz")
_SEEN = 50  # rows looked at to find the column of paths


class Part(Reader):
    """The archive's own codes; `view` is AP, PA, LATERAL, or FRONTAL where no more is known.

    Tables of other people's making are understood too: the reports' other labellers (CheXbert,
    VisualCheXbert), underscores in the names, absolute paths of another machine. The films of other
    views are left out by their row and counted.
    """

    findings: ClassVar[Mapping[str, str]] = dict(zip(CHEXPERT14, CHEXPERT14, strict=True))
    marks: ClassVar[Mapping[str, str]] = {
        name + end: "/patient" for names in _TABLES.values() for name in names for end in _ENDS
    }

    table: tuple[Path, ...] = option(
        (),
        "Table to read. Repeatable. [default: those of train.csv, valid.csv and test.csv that "
        "are in ROOT]",
    )
    label_set: Literal["chexpert14", "chexpert5"] = option(
        "chexpert14", "Labels to keep: all, or the competition's five."
    )
    views: Literal["frontal", "lateral", "all"] = option("frontal", VIEWS)

    def read(self, raw: Path, name: str) -> Source:
        """Read the archive, see `Reader.read`."""
        paths = list(self.table) or _tables_in(raw)
        index = FileIndex(raw if self.table else _folder_of(paths, raw))
        table = chexpert_table(paths, LABELS[self.label_set], index)
        kept = with_views(table, self.views)
        source = archive_source(
            table,
            index,
            name=name,
            origin="CheXpert, " + ", ".join(path.name for path in paths),
            citation=self.citation_said(),
            keep=kept.rows,
        )
        return kept.said(source)

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, Self]:
        """A study of two views to train on and a film to validate on, see `Reader.example`."""
        films = {
            "train": ("patient00001/study1/view1_frontal", "patient00001/study1/view2_lateral"),
            "valid": ("patient64541/study1/view1_frontal",),
        }
        for split, names in films.items():
            rows = [("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT14)]
            for name in names:
                write_film(folder / split / f"{name}.jpg", len(rows) + 10 * (split == "valid"))
                side = name.rpartition("_")[2].capitalize()
                path = f"CheXpert-v1.0/{split}/{name}.jpg"
                rows.append((path, "Male", 50, side, "AP", "1.0", "-1.0", "0.0", *[""] * 11))
            write_table(folder / f"{split}.csv", rows)
        return folder, cls()


def _tables_in(root: Path) -> list[Path]:
    """The archive's tables, in the order train, valid, test."""
    names = [name for names in _TABLES.values() for name in names]
    found = located(root, tuple(name + end for name in names for end in _ENDS))
    if not found:
        raise UserError(
            f"There is no train.csv, valid.csv or test.csv in {root}. Give the folder that holds "
            "them, or name a table with --table."
        )
    folders = sorted({path.parent.name for path in found})
    if len(folders) > 1:
        raise UserError(
            f"{root} holds several releases ({', '.join(folders)}). Give the folder of one."
        )
    return sorted(found, key=lambda path: names.index(path.name.removesuffix(".gz")))


def _folder_of(tables: list[Path], root: Path) -> Path:
    """Where the images lie: beside the tables, but for the release in batches beside each other."""
    beside = tables[0].parent
    return root if "batch" in beside.name.casefold() else beside


def chexpert_table(
    paths: list[Path], labels: tuple[str, ...] = CHEXPERT14, images: FileIndex | None = None
) -> ArchiveTable:
    """Read tables of the archive, alone or beside its images.

    Args:
        paths: the tables, one after the other.
        labels: those wanted, found by meaning (`Pleural_Effusion` is `Pleural Effusion`).
        images: the images, where there are any: a row that names a study then stands for all of
            its films; without, it stays one row.

    Returns:
        The tables as one; the raw codes 1, 0, -1 and blank.

    Raises:
        UserError: a table lacks the paths or a label, or a film stands in two tables.
    """
    import pandas as pd

    parts = [_one_table(path, labels) for path in paths]
    frame = pd.concat(parts, ignore_index=True)
    notes = [f"{p.name}: {len(part):,} rows" for p, part in zip(paths, parts, strict=True)]
    if images is not None and (frame["view"] == "").any():
        frame = _films(frame, images)
    if frame["image"].duplicated().any():
        raise UserError(
            f"{int(frame['image'].duplicated().sum())} films stand twice in "
            f"{', '.join(path.name for path in paths)}. Choose the tables with --table."
        )
    lateral = int((frame["view"] == "LATERAL").sum())
    notes.append(
        f"{frame['patient'].nunique():,} patients, {frame['study'].nunique():,} studies, "
        f"{len(frame) - lateral:,} frontal and {lateral:,} lateral films"
    )
    return ArchiveTable(frame, labels, tuple(notes))


def _one_table(path: Path, labels: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    table = read_table(path)
    places = _places(table, path)
    split = _split_named(path)
    about = pd.DataFrame(
        {
            "image": [place.image or place.study for place in places],
            "patient": [place.patient for place in places],
            "study": [place.study for place in places],
            "view": _views(table, places),
            "sex": _column(table, "sex"),
            "age": _column(table, "age"),
            "split": [place.split or split for place in places],
        },
        columns=list(ROLES),
    )
    codes = parse_codes(table, _label_columns(table, labels, path)).set_axis(list(labels), axis=1)
    return pd.concat([about, codes], axis=1)


def _places(table: pd.DataFrame, path: Path) -> list[Place]:
    for column in table.columns:
        if any(place_of(cell) for cell in table[column].head(_SEEN)):
            places = [place_of(cell) for cell in table[column]]
            if None in places:
                raise UserError(
                    f"{path.name}: data row {places.index(None) + 1} has no path like "
                    f"patient00001/study1/view1_frontal.jpg in column {column!r}. Correct that "
                    "row."
                )
            return places
    raise UserError(
        f"{path.name} has no column of paths like patient00001/study1/view1_frontal.jpg: it isn't "
        "a table of CheXpert. For other layouts use `cxrkeras prep table`."
    )


def _split_named(path: Path) -> str:
    """The split that a table's name tells, where its paths don't."""
    name = path.name.casefold()
    words = {"train": "train", "val": "valid", "test": "test", "groundtruth": "test"}
    return next((split for word, split in words.items() if word in name), "")


def _column(table: pd.DataFrame, names: str) -> pd.Series | str:
    column = usual_column(table, names, set())
    return "" if column is None else table[column]


def _views(table: pd.DataFrame, places: list[Place]) -> list[str]:
    side, projection = _column(table, "frontal/lateral"), _column(table, "ap/pa")
    blank = [""] * len(table)
    sides = blank if isinstance(side, str) else side.str.lower()
    projections = blank if isinstance(projection, str) else projection.str.upper()
    return [
        _view(given or place.view, projection)
        for given, place, projection in zip(sides, places, projections, strict=True)
    ]


def _view(side: str, projection: str) -> str:
    """`LATERAL`; of a frontal film how the beam went; blank for a study."""
    if side == "lateral":
        return "LATERAL"
    return projection or side.upper()


def _label_columns(table: pd.DataFrame, labels: tuple[str, ...], path: Path) -> list[str]:
    found: dict[str, str] = {}
    for column in table.columns:
        found.setdefault(canonical(column), column)
    lacking = [label for label in labels if canonical(label) not in found]
    if lacking:
        raise UserError(
            f"{path.name} has no column {lacking[0]!r} ({len(lacking)} of {len(labels)} labels "
            f"are missing). {nearest(lacking[0], table.columns)}"
        )
    return [found[canonical(label)] for label in labels]


def _films(frame: pd.DataFrame, images: FileIndex) -> pd.DataFrame:
    """The rows, each that names a study repeated for every film of it that is here."""
    films: dict[str, list[Place]] = {}
    for key in images.keys:
        place = place_of(key)
        if place and place.image:
            films.setdefault(place.study, []).append(place)
    whole = frame["view"] == ""
    numbers, names, views = [], [], []
    for number, (study, is_study) in enumerate(zip(frame["study"], whole, strict=True)):
        for place in films.get(study, [None]) if is_study else [None]:
            numbers.append(number)
            names.append(place.image if place else frame["image"].iat[number])
            views.append(_view(place.view, "") if place else frame["view"].iat[number])
    return frame.iloc[numbers].assign(image=names, view=views).reset_index(drop=True)
