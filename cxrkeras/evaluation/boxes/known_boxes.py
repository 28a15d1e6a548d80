"""Known boxes by image: a prepared dataset's `boxes.csv`, or NIH's list."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from data_prep.errors import UserError
from data_prep.readers.nih import read_boxes
from data_prep.tables.matching import IMAGE_SUFFIXES
from data_prep.tables.table import read_table
from data_prep.tables.vocabulary import canonical

COLUMNS = ("image", "label", "x", "y", "width", "height")
_SIDES = COLUMNS[2:]


@dataclass(frozen=True)
class KnownBoxes:
    """Known boxes, as fractions of the image's side.

    Attributes:
        of: {(image name without folder and ending, label): (B, 4) x, y, width, height in [0, 1]}.
        labels: the labels that occur, in the file's order.
    """

    of: Mapping[tuple[str, str], np.ndarray]
    labels: tuple[str, ...]

    @property
    def images(self) -> set[str]:
        """Names of the images with boxes, as in `of`."""
        return {name for name, _ in self.of}

    def on(self, image: str, label: str, side: int) -> np.ndarray | None:
        """The boxes (B, 4) of one label on one image, in pixels; None if there are none.

        Args:
            image: its name or path; labels compare by `canonical`.
            label: the finding.
            side: of the image, pixels.
        """
        boxes = self.of.get((image_key(image), canonical(label)))
        return None if boxes is None else boxes * side


def image_key(image: str) -> str:
    """An image's key in any table: its name without folder and image suffix."""
    path = PurePosixPath(str(image).replace("\\", "/"))
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name


def check_names(images: Iterable[str], where: str) -> None:
    """Check that no two images share the name by which boxes are found.

    Args:
        images: names or paths; the same path may occur again.
        where: where they come from, to begin a sentence.

    Raises:
        UserError: naming two of them.
    """
    seen: dict[str, str] = {}
    for image in images:
        if (other := seen.setdefault(image_key(image), image)) != image:
            raise UserError(
                f"{where}: boxes are found by the image's name, but two images share one. "
                f"Received: {other} and {image}. Prepare the images: `cxrkeras prep` makes names "
                "unique."
            )


def read_known_boxes(path: Path, side: int) -> KnownBoxes:
    """Read a table of boxes.

    Args:
        path: CSV with the columns `COLUMNS`, or ChestX-ray14's `BBox_List_2017.csv`; .gz or not.
        side: of the images that the table's pixels refer to; NIH's list knows its own.

    Raises:
        UserError: it is another kind of table, or a box is invalid or lies outside its image.
    """
    table = read_rows(path, side)
    check_names((image for image, _, _ in table), path.name)
    found: dict[tuple[str, str], list] = {}
    for image, label, box in table:
        found.setdefault((image_key(image), canonical(label)), []).append(box)
    labels = tuple(dict.fromkeys(label for _, label in found))
    return KnownBoxes({key: np.array(boxes) for key, boxes in found.items()}, labels)


def read_rows(path: Path, side: int) -> list[tuple[str, str, tuple[float, ...]]]:
    """The table's rows: image, label, and box as fractions of the side; see `read_known_boxes`."""
    if not path.is_file():
        raise UserError(f"--boxes must be a table of boxes. Not found: {path}. Check the path.")
    if path.name.startswith("BBox_List"):
        boxes = read_boxes(path)
        return [(box.key, box.label, (box.x, box.y, box.width, box.height)) for box in boxes]
    table = read_table(path)
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise UserError(
            f"A table of boxes has the columns {', '.join(COLUMNS)}, or is ChestX-ray14's "
            f"BBox_List_2017.csv. {path.name} lacks {', '.join(missing)}."
        )
    sides = table[list(_SIDES)]
    rows = zip(table["image"], table["label"], sides.itertuples(index=False), strict=True)
    return [
        (image, label, _parts(box, side, f"{path.name}, line {line}"))
        for line, (image, label, box) in enumerate(rows, start=2)
    ]


def _parts(box: tuple[str, ...], side: int, where: str) -> tuple[float, ...]:
    try:
        x, y, width, height = (float(part) / side for part in box)
    except ValueError:
        raise UserError(f"{where}: a box is four numbers. Received: {', '.join(box)}.") from None
    slack = 1 / side  # rounding
    if not (min(x, y) >= 0 and min(width, height) > 0 and max(x + width, y + height) <= 1 + slack):
        raise UserError(
            f"{where}: a box must lie within its image of {side} px. Received: {', '.join(box)}. "
            "Give boxes in pixels of the prepared images."
        )
    return x, y, width, height
