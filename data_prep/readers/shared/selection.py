"""A part of an archive: a sample of whole patients, or all but the images of a list."""

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

from data_prep.filenames import printable
from data_prep.readers.shared.records import Record, Source
from data_prep.tables.textfile import read_names


def limited(source: Source, images: int, seed: int = 0) -> Source:
    """A seeded sample of whole patients: at most `images` images, at least one patient.

    Patients come in an order that only the seed and their identifiers decide: the sample for a
    smaller number lies within that for a larger one, and the order of the table doesn't matter.

    Args:
        source: an archive; a record without a patient stands for a patient of its own.
        images: how many images about.
        seed: another seed, another sample.
    """
    counts = Counter(map(_owner, source.records))
    chosen: set[str] = set()
    taken = 0
    for owner in sorted(counts, key=lambda owner: _place(owner, seed)):
        if chosen and taken + counts[owner] > images:
            break
        chosen.add(owner)
        taken += counts[owner]
    note = (
        f"sample: {taken:,} of {len(source.records):,} images, {len(chosen):,} of "
        f"{len(counts):,} patients, seed {seed}"
    )
    alone = sum(record.patient is None for record in source.records)
    if alone:
        note += f" ({alone:,} images have no patient in the table: each counts as one)"
    records = [record for record in source.records if _owner(record) in chosen]
    return replace(source, records=records, notes=(*source.notes, note))


def _owner(record: Record) -> str:
    return f"file {record.key}" if record.patient is None else f"patient {record.patient}"


def _place(owner: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\x00{owner}".encode("utf-8", "surrogateescape")).digest()


def without(source: Source, lists: tuple[Path, ...]) -> Source:
    """The archive without the images that lists name; each becomes a rejection with its list.

    Args:
        source: an archive.
        lists: files of one image name a line (a key, or a file name), without a header.

    Raises:
        UserError: a list can't be read.
    """
    reasons: dict[str, str] = {}
    notes = list(source.notes)
    known = {name for record in source.records for name in _names(record)}
    for path in lists:
        names, why = read_names(path), f"excluded by {printable(path.name)}"
        for name in names:
            reasons.setdefault(name, why)
        absent = sum(name not in known for name in names)
        notes.append(f"{why}: {len(names):,} names, {absent:,} of them not here")
    reason = {record.key: _first(record, reasons) for record in source.records}
    return replace(
        source,
        records=[record for record in source.records if reason[record.key] is None],
        rejected=source.rejected + [(key, text) for key, text in reason.items() if text],
        notes=tuple(notes),
    )


def _names(record: Record) -> tuple[str, str]:
    return record.key, record.key.rsplit("/", 1)[-1]


def _first(record: Record, reasons: dict[str, str]) -> str | None:
    return next((reasons[name] for name in _names(record) if name in reasons), None)
