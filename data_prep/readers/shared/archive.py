"""What readers of public archives share: tables in our words, joined to their images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.errors import UserError
from data_prep.readers.shared.records import Source
from data_prep.readers.shared.rows import link_rows, merged, records_of, refused
from data_prep.tables.matching import FileIndex

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ROLES = ("image", "patient", "study", "view", "sex", "age", "split")


@dataclass(frozen=True)
class ArchiveTable:
    """An archive's table in our words.

    Attributes:
        frame: one row per image: the columns `ROLES`, all text, blank where unknown, then one
            column of codes per label.
        labels: those labels, in order.
        notes: what was understood.
    """

    frame: pd.DataFrame
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()


def located(root: Path, patterns: tuple[str, ...]) -> list[Path]:
    """The files of these names in a folder, or else in the folders directly below it.

    Args:
        root: an archive's folder, or the one that holds it.
        patterns: names, with `*`.

    Raises:
        UserError: there is no such folder.
    """
    if not root.is_dir():
        raise UserError(f"There is no folder {root}. Give the folder that holds the archive.")
    for depth in ("", "*/"):
        found = {path for name in patterns for path in root.glob(depth + name) if path.is_file()}
        if found:
            return sorted(found)
    return []


def archive_source(
    table: ArchiveTable,
    images: FileIndex,
    *,
    name: str,
    origin: str,
    citation: str,
    keep: np.ndarray | None = None,
    others: bool = True,
) -> Source:
    """Join an archive's table to what of its images is here.

    Args:
        table: the archive's table.
        images: the files; each is found by its path, or by any tail of it that is its own.
        name: the dataset's name.
        origin: where the data come from.
        citation: what to cite.
        keep: (rows,) bool: the rows that are wanted; all if None.
        others: whether files without a row are refused, or simply not asked for.

    Raises:
        UserError: no image of the table is here.
    """
    rows = link_rows(table.frame, images, {role: role for role in ROLES})
    here = sum(key is not None for key in rows.keys)
    if not here:
        raise UserError(
            f"None of the {len(rows.keys):,} images of the table is among the "
            f"{len(images.keys):,} image files below {images.root}. Check the folder."
        )
    rows.notes += [*table.notes, f"{here:,} of {len(rows.keys):,} images of the table are here"]
    codes = table.frame[list(table.labels)].to_numpy(dtype=object)

    def wanted(numbers: list[int]) -> tuple[str, ...] | None:
        return merged(codes[numbers]) if keep is None or keep[numbers[0]] else None

    records = records_of(rows, wanted, own_names=True)
    rejected = refused(rows, others)
    return Source(
        name=name,
        labels=table.labels,
        records=records,
        rejected=rejected,
        origin=origin,
        citation=citation,
        notes=tuple(rows.notes),
    )
