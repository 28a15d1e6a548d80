"""What readers of public archives share: tables in our words, joined to their images."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from data_prep.errors import UserError
from data_prep.films.views import admits
from data_prep.readers.shared.marks import check_folder
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
        codes: the codes of each row, where they aren't columns of the frame; None for a row that
            is to be left out. Rows of the same codes should share them.
    """

    frame: pd.DataFrame
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()
    codes: Sequence[tuple[str, ...] | None] | None = None

    def codes_of(self, numbers: list[int]) -> tuple[str, ...] | None:
        """The codes of one image from those of its rows."""
        if self.codes is None:
            return merged(self._columns[numbers])
        rows = [row for number in numbers if (row := self.codes[number]) is not None]
        return _together(rows) if len(rows) > 1 else next(iter(rows), None)

    @cached_property
    def _columns(self) -> np.ndarray:
        return self.frame[list(self.labels)].to_numpy(dtype=object)


def _together(rows: list[tuple[str, ...]]) -> tuple[str, ...]:
    import numpy as np

    return merged(np.array(rows, object))


def located(root: Path, patterns: tuple[str, ...]) -> list[Path]:
    """The files of these names in a folder, or else in the folders directly below it.

    Args:
        root: an archive's folder, or the one that holds it.
        patterns: names, with `*`.

    Raises:
        UserError: there is no such folder.
    """
    check_folder(root)
    for depth in ("", "*/"):
        found = {path for name in patterns for path in root.glob(depth + name) if path.is_file()}
        if found:
            return sorted(found)
    return []


class Views(NamedTuple):
    """The rows of a table that `--views` keeps.

    Attributes:
        choice: one of `views.CHOICES`.
        rows: (rows,) bool.
    """

    choice: str
    rows: np.ndarray

    def said(self, source: Source) -> Source:
        """The source with a note of how many films are left out."""
        note = f"views: {self.choice}; {int((~self.rows).sum()):,} films of the table left out"
        return replace(source, notes=(*source.notes, note))


def with_views(table: ArchiveTable, choice: str, never: Collection[str] = ()) -> Views:
    """The rows whose films have a wanted view.

    Args:
        table: the archive's.
        choice: one of `views.CHOICES`.
        never: views that count as neither frontal nor lateral.
    """
    import numpy as np

    views = table.frame["view"].tolist()
    wanted = {
        view: admits(choice, view) and (choice == "all" or view not in never) for view in set(views)
    }
    return Views(choice, np.array([wanted[view] for view in views], bool))


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

    def wanted(numbers: list[int]) -> tuple[str, ...] | None:
        return table.codes_of(numbers) if keep is None or keep[numbers[0]] else None

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
