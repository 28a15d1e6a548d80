"""A prepared dataset, read: the images' table, their label codes, and what identifies them."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from data_prep.errors import UserError


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
        image_size: side of the stored square images in pixels.
    """

    root: Path
    name: str
    labels: tuple[str, ...]
    images: np.ndarray
    patients: np.ndarray
    codes: np.ndarray
    digests: np.ndarray
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
        digest = hashlib.sha256()
        for part in (self.labels, self.image_size):
            digest.update(repr(part).encode())
        for column in (self.images, self.patients, self.digests):
            digest.update("\n".join(column).encode())
        digest.update(np.ascontiguousarray(self.codes).tobytes())
        return digest.hexdigest()[:16]

    def subset(self, keep: np.ndarray) -> "PreparedDataset":
        """The images that `keep`, a boolean (N,) mask or an index, picks."""
        rows = {
            name: getattr(self, name)[keep] for name in ("images", "patients", "codes", "digests")
        }
        return PreparedDataset(
            root=self.root, name=self.name, labels=self.labels, image_size=self.image_size, **rows
        )


def load_dataset(root: Path) -> PreparedDataset:
    """Read a prepared dataset.

    Raises:
        UserError: when `root` is not a prepared dataset, or its files contradict each other.
    """
    root = Path(root)
    description, manifest = root / "dataset.json", root / "manifest.csv"
    if not description.is_file() or not manifest.is_file():
        raise UserError(
            "A prepared dataset is a folder with dataset.json and manifest.csv. "
            f"Received: {root}. Make one with `cxrkeras prep`."
        )
    facts = json.loads(description.read_text(encoding="utf-8"))
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    labels = tuple(facts["labels"])
    missing = [c for c in ("image", "patient", "sha256", *labels) if c not in table.columns]
    if missing:
        raise UserError(
            f"{manifest} lacks the columns {', '.join(missing)}. Prepare the dataset again."
        )
    if table.empty:
        raise UserError(f"{manifest} lists no image. Prepare the dataset again.")
    return PreparedDataset(
        root=root,
        name=facts["name"],
        labels=labels,
        images=table["image"].to_numpy(str),
        patients=table["patient"].to_numpy(str),
        codes=_codes(table, labels, manifest),
        digests=table["sha256"].to_numpy(str),
        image_size=int(facts["image_size"]),
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
            f"{column!r}, row {row + 2} of {manifest}. Prepare the dataset again."
        )
    return text.apply(lambda column: column.map(meanings)).to_numpy(np.float32)
