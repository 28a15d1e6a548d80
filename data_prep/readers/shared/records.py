"""What a reader hands to the preparation: which files, with which labels, of whom."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """One image file and what the archive's table says of it.

    Attributes:
        path: the file.
        key: its identity within the source: its path relative to the image folder, with `/`, or
            a public archive's own name of it.
        codes: `"1"`, `"0"`, `"-1"` or `""` per label of the source, in its order.
        patient, study: raw identifiers (never shown: they leave only as keyed hashes), or None.
        view: e.g. `PA`; sex: `F` or `M`; age: years; None where the table doesn't say.
        split: the archive's own split, e.g. `train`, or `""`.
    """

    path: Path
    key: str
    codes: tuple[str, ...]
    patient: str | None = field(default=None, repr=False)
    study: str | None = field(default=None, repr=False)
    view: str | None = None
    sex: str | None = None
    age: float | None = None
    split: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A finding's place in a picture, as parts of its width and height (0 to 1), or in its pixels.

    Attributes:
        key: the record's.
        label: the finding, as the source's labels spell it; or an organ.
        x, y: the upper left corner; width, height: the extent; x and width are parts of the
            picture's width, y and height of its height; where the source says so, all are pixels
            of the file's picture.
    """

    key: str
    label: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Source:
    """A raw archive, read: what to prepare, and what was refused already.

    Attributes:
        name: the dataset's name.
        labels: its labels, in order.
        records: one per image file, in the table's order, each key once.
        rejected: (file, reason) for what the reader refused.
        origin, citation: where the data come from and what to cite.
        notes: what was understood, one line each, without patient data.
        boxes: where findings are; None for an archive that doesn't say.
        boxes_in_pixels: whether they are in pixels of each file's picture, whose size the archive's
            tables don't tell, rather than in parts of its sides.
        spellings: {finding: its other spellings} of a user's vocabulary, if the labels are put into
            its words.
    """

    name: str
    labels: tuple[str, ...]
    records: list[Record]
    rejected: list[tuple[str, str]]
    origin: str = ""
    citation: str = ""
    notes: tuple[str, ...] = ()
    boxes: tuple[Box, ...] | None = None
    boxes_in_pixels: bool = False
    spellings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
