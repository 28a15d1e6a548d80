"""A prepared dataset, read: the images' table, their label codes, and what identifies them."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.data.checked_json import Facts, Labels, Words, read_checked
from cxrkeras.data.preparation import Side
from data_prep.errors import UserError
from data_prep.tables import read_table
from data_prep.vocabulary import canonical, folded

_AGAIN = "Prepare the dataset again."


@dataclass(frozen=True)
class PreparedDataset:
    """A folder that `cxrkeras prep` wrote.

    Args:
        root: the folder.
        name: the dataset's name.
        labels: K label names in order.
        images: (N,) paths relative to `root`.
        patients: (N,) patient identity, a keyed hash unless the archive is public.
        codes: (N, K) float32: 1, 0, -1 uncertain, NaN not mentioned.
        digests: (N,) sha256 of the decoded pixels.
        splits: (N,) the archive's own part, e.g. `train` or `test`; blank where it has none.
        image_size: side of the stored square images in pixels.
    """

    root: Path
    name: str
    labels: tuple[str, ...]
    images: np.ndarray
    patients: np.ndarray
    codes: np.ndarray
    digests: np.ndarray
    splits: np.ndarray
    image_size: int

    def __len__(self) -> int:
        return len(self.images)

    @property
    def paths(self) -> list[str]:
        """(N,) absolute file names."""
        return [str(self.root / image) for image in self.images]

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the content (labels, codes, patients, pixels), whatever the folder."""
        columns = [column.tolist() for column in (self.images, self.patients, self.digests)]
        if any(self.splits):
            columns.append(self.splits.tolist())
        digest = hashlib.sha256(json.dumps([self.labels, self.image_size, *columns]).encode())
        digest.update(np.ascontiguousarray(self.codes).tobytes())
        return digest.hexdigest()[:16]

    def subset(self, keep: np.ndarray) -> "PreparedDataset":
        """The images that `keep`, a boolean (N,) mask or an index, picks."""
        columns = ("images", "patients", "codes", "digests", "splits")
        return replace(self, **{name: getattr(self, name)[keep] for name in columns})

    def with_labels(self, labels: Sequence[str]) -> "PreparedDataset":
        """These labels in this order, found whatever the archive's spelling (`canonical`).

        Raises:
            UserError: naming those that the dataset lacks.
        """
        places = {folded(canonical(label)): place for place, label in enumerate(self.labels)}
        wanted = [folded(canonical(label)) for label in labels]
        if missing := [
            label for label, key in zip(labels, wanted, strict=True) if key not in places
        ]:
            raise UserError(
                f"--labels: the dataset {self.name} has no {', '.join(missing)}, but "
                f"{', '.join(self.labels)}. Choose another set of labels, or none."
            )
        keep = [places[key] for key in wanted]
        return replace(self, labels=tuple(labels), codes=self.codes[:, keep])


def load_dataset(root: Path) -> PreparedDataset:
    """Read a prepared dataset.

    Raises:
        UserError: when `root` is not a prepared dataset, or its files contradict each other.
    """
    root = Path(root)
    description, manifest = _files(root)
    name, labels, image_size = _described(description)
    table = read_table(manifest)
    missing = [c for c in ("image", "patient", "sha256", *labels) if c not in table.columns]
    if missing:
        raise UserError(f"{manifest} lacks the columns {', '.join(missing)}. {_AGAIN}")
    _check_images(table["image"], manifest)
    return PreparedDataset(
        root=root,
        name=name,
        labels=labels,
        images=table["image"].to_numpy(str),
        patients=table["patient"].to_numpy(str),
        codes=_codes(table, labels, manifest),
        digests=table["sha256"].to_numpy(str),
        splits=table.get("split", pd.Series([""] * len(table))).to_numpy(str),
        image_size=image_size,
    )


def open_dataset(root: Path, labels: Sequence[str] | None = None) -> PreparedDataset:
    """A prepared dataset with the labels that are wanted of it, or all; errors as in both parts."""
    dataset = load_dataset(root)
    return dataset if labels is None else dataset.with_labels(labels)


def read_labels(root: Path) -> tuple[str, ...]:
    """The labels of a prepared dataset, without reading its table; errors as in `load_dataset`."""
    return _described(_files(Path(root))[0])[1]


def _files(root: Path) -> tuple[Path, Path]:
    description, manifest = root / "dataset.json", root / "manifest.csv"
    if not description.is_file() or not manifest.is_file():
        raise UserError(
            "A prepared dataset is a folder with dataset.json and manifest.csv. "
            f"Received: {root}. Make one with `cxrkeras prep`."
        )
    return description, manifest


class _Described(Facts):
    name: Words
    labels: Labels
    image_size: Side


def _described(description: Path) -> tuple[str, tuple[str, ...], int]:
    facts = read_checked(description, _Described, _AGAIN)
    return facts["name"], tuple(facts["labels"]), facts["image_size"]


def _check_images(images: pd.Series, manifest: Path) -> None:
    if images.empty:
        raise UserError(f"{manifest} lists no image. {_AGAIN}")
    if images.duplicated().any():
        raise UserError(
            f"{manifest} lists {images[images.duplicated()].iloc[0]} more than once. {_AGAIN}"
        )
    outside = images.str.fullmatch(r"|/.*|(?:.*/)?\.\.(?:/.*)?", flags=re.DOTALL)
    if outside.any():
        raise UserError(
            f"An image lies inside its dataset's folder. Received: {images[outside].iloc[0]!r} in "
            f"{manifest}. {_AGAIN}"
        )


def _codes(table: pd.DataFrame, labels: tuple[str, ...], manifest: Path) -> np.ndarray:
    meanings = {"1": 1.0, "0": 0.0, "-1": -1.0, "": np.nan}
    text = table[list(labels)]
    unknown = ~text.isin(list(meanings))
    if unknown.to_numpy().any():
        column = unknown.any().idxmax()
        row = int(unknown[column].idxmax())
        raise UserError(
            f"Label codes are 1, 0, -1 and blank. Received: {text.loc[row, column]!r} in column "
            f"{column!r}, row {row + 2} of {manifest}. {_AGAIN}"
        )
    return text.apply(lambda column: column.map(meanings)).to_numpy(np.float32)
