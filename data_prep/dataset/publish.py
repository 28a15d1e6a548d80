"""The finished dataset: names, pseudonyms, tables, and its description last."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from data_prep.dataset.copies.duplicates import Duplicate
from data_prep.dataset.identity import key_check, keyed_hash
from data_prep.dataset.journal import Journal
from data_prep.dataset.persons import persons
from data_prep.dataset.repair import Call, outcome
from data_prep.dataset.worker import Result, Settings, pseudonym
from data_prep.errors import UserError
from data_prep.filenames import printable
from data_prep.files import atomic_write_json, replacing
from data_prep.films.display import TURNED
from data_prep.films.film import inside_square
from data_prep.films.looks import UNLIKE
from data_prep.readers.shared.places import scaled
from data_prep.readers.shared.records import Box, Record, Source
from data_prep.tables.cells import TEXT, write_rows
from data_prep.tables.table import CODES

FORMAT = 2
WARNING = "warning: "  # begins the notes that a person should see
MANIFEST = (
    *("image", "patient", "study", "view", "sex", "age", "split"),
    *("source_id", "sha256", "prepared", "signature", "looks"),
)
_NAMED = 10  # images that a note names


@dataclass(frozen=True)
class Names:
    """How identifiers leave.

    Attributes:
        key: of their hashes.
        public: they leave as they are.
        hash_names: file names are hashed too.
        merge_patients: two patients with a copy of one film are one.
    """

    key: bytes
    public: bool = False
    hash_names: bool = False
    merge_patients: bool = True


def image_names(kept: list[tuple[Record, Result]], names: Names) -> list[str]:
    """A file name for each prepared image: `images/NAME.png`, each once on any file system.

    A DICOM image is named by its SOPInstanceUID's keyed hash (the UID itself in a public archive),
    any other by its file name, by its path where two are alike, or by a keyed hash of its path.
    """
    proposals = [_name(record, result, names) for record, result in kept]
    proposals = _apart(proposals, [_clean(record.key) for record, _ in kept])
    hashes = [keyed_hash(names.key, "file", record.key) for record, _ in kept]
    proposals = _apart(proposals, [f"{n}-{h}" for n, h in zip(proposals, hashes, strict=True)])
    return [f"images/{name}.png" for name in proposals]


def _name(record: Record, result: Result, names: Names) -> str:
    if result.dicom or names.hash_names:
        return _clean(result.sop or keyed_hash(names.key, "file", record.key))
    return _clean(PurePosixPath(record.key).name)


def _clean(key: str) -> str:
    stem = re.sub(r"\.(png|jpe?g|tiff?|dcm|dicom|ima)$", "", key, flags=re.IGNORECASE)
    return re.sub(r"[^\w.\-]+", "_", stem.replace("/", "__")).strip(".")[-100:] or "image"


def _apart(names: list[str], otherwise: list[str]) -> list[str]:
    """The names, but the other one for each that isn't the only one of its spelling."""
    counts = Counter(name.casefold() for name in names)
    pairs = zip(names, otherwise, strict=True)
    return [name if counts[name.casefold()] == 1 else other for name, other in pairs]


def publish(
    source: Source,
    results: list[Result],
    duplicates: list[Duplicate],
    one_film: Callable[[Duplicate], bool],
    settings: Settings,
    names: Names,
    journal: Journal,
    call: Call,
    remarks: list[str],
) -> None:
    """Write the dataset from what is prepared; `dataset.json` last, each file in one step.

    Args:
        source: the archive.
        results: one per record, in order.
        duplicates: what to leave out; `kept` is never itself left out.
        one_film: whether a duplicate shows the film that is kept.
        settings: how the images were prepared.
        names: how identifiers leave.
        journal: the output folder's state.
        call: what `done.json` is to remember.
        remarks: notes to add.
    """
    left_out = {duplicate.dropped for duplicate in duplicates}
    both = list(zip(source.records, results, strict=True))
    numbers = [n for n, (_, r) in enumerate(both) if r.reason is None and n not in left_out]
    kept = [both[number] for number in numbers]
    files = image_names(kept, names)
    image_of = dict(zip(numbers, files, strict=True))
    known = {n: _patient(*both[n], names) for n in {*numbers, *left_out}}
    people = persons(known, duplicates, one_film, merge=names.merge_patients)
    patients = [people.patients[number] for number in numbers]
    rows = (_row(*row, names) for row in zip(kept, files, patients, strict=True))
    refused = source.rejected + [(rec.key, res.reason) for rec, res in both if res.reason]
    rejected = [(printable(file), reason) for file, reason in refused]
    _link_images(kept, files, journal)
    out = journal.out
    _write_csv(out / "manifest.csv", (*MANIFEST, *source.labels), rows)
    _write_csv(out / "rejected.csv", ("file", "reason"), rejected)
    _write_csv(
        out / "duplicates.csv",
        ("kept", "dropped", "kind", "conflict", "patients"),
        [
            (*_duplicate_row(duplicate, source, image_of), people.word(duplicate))
            for duplicate in duplicates
        ],
    )
    remarks = remarks + _write_boxes(source, kept, files, settings, out)
    outcomes = {result.id: outcome(result) for result in results}
    journal.note_done(call.finished(_images_by_id(kept, files), outcomes))
    left = {
        "rejected": len(rejected),
        "duplicates": len(duplicates),
        f"patients_{'merged' if people.followed else 'apart'}": people.numbers,
    }
    description = _describe(source, settings, [record for record, _ in kept], patients, left)
    description["key"] = key_check(names.key)
    description["merged_patients"] = dict(sorted(people.aliases.items()))
    if source.spellings:
        description["findings"] = {name: list(others) for name, others in source.spellings.items()}
    description["notes"] += _remarks(kept, files, patients, source, duplicates) + remarks
    if note := people.note(image_of):
        description["notes"].append(WARNING + note)
    atomic_write_json(out / "dataset.json", description)


def _patient(record: Record, result: Result, names: Names) -> str:
    ours = pseudonym(names.key, names.public, "patient", record.patient)
    return ours or result.patient or ""


def _row(pair: tuple[Record, Result], file: str, patient: str, names: Names) -> tuple:
    record, result = pair
    study = pseudonym(names.key, names.public, "study", record.study) or result.study
    age = record.age if record.age is not None else result.age
    return (
        file,
        patient,
        study or "",
        record.view or result.view or "",
        record.sex or result.sex or "",
        "" if age is None else f"{age:g}",
        record.split,
        _source_id(record, result, names),
        result.digest,
        result.prepared,
        result.signature,
        result.looks,
        *record.codes,
    )


def _source_id(record: Record, result: Result, names: Names) -> str:
    """What the archive calls the image, so that its own tables can be joined; else a pseudonym."""
    if names.hash_names or (result.dicom and not names.public):
        return result.sop or keyed_hash(names.key, "file", record.key)
    return printable(record.key)


def _link_images(kept: list[tuple[Record, Result]], files: list[str], journal: Journal) -> None:
    """Give the prepared images their names; what an earlier, killed attempt left goes first."""
    folder = journal.out / "images"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for (_, result), file in zip(kept, files, strict=True):
        try:
            os.link(journal.image(result.id), journal.out / file)
        except OSError:  # a file system without hard links
            shutil.copyfile(journal.image(result.id), journal.out / file)


def _images_by_id(
    kept: list[tuple[Record, Result]], files: list[str]
) -> dict[str, tuple[str, int, str]]:
    return {
        result.id: (file, result.bytes, result.prepared)
        for (_, result), file in zip(kept, files, strict=True)
    }


def conflict(duplicate: Duplicate, source: Source) -> list[str]:
    """The labels on which two records of one picture differ."""
    first = source.records[duplicate.kept].codes
    second = source.records[duplicate.dropped].codes
    triples = zip(source.labels, first, second, strict=True)
    return [label for label, one, other in triples if one != other]


def _duplicate_row(duplicate: Duplicate, source: Source, image_of: dict[int, str]) -> tuple:
    dropped = printable(source.records[duplicate.dropped].key)
    labels = "|".join(conflict(duplicate, source))
    return image_of[duplicate.kept], dropped, duplicate.kind, labels


def _describe(
    source: Source,
    settings: Settings,
    records: list[Record],
    patients: list[str],
    left: dict[str, int],
) -> dict:
    per_label = {}
    for place, label in enumerate(source.labels):
        found = Counter(record.codes[place] for record in records)
        per_label[label] = {code: found[code] for code in CODES}
    return {
        "format": FORMAT,
        "name": source.name,
        "labels": list(source.labels),
        "image_size": settings.size,
        "pad": settings.pad,
        "stretch": list(settings.stretch) if settings.stretch else None,
        "counts": {
            "images": len(records),
            "patients": len(set(patients) - {""}),
            **left,
            "per_label": per_label,
        },
        "origin": source.origin,
        "citation": source.citation,
        "notes": list(source.notes),
    }


def _remarks(
    kept: list[tuple[Record, Result]],
    files: list[str],
    patients: list[str],
    source: Source,
    duplicates: list[Duplicate],
) -> list[str]:
    """What the files themselves showed."""
    warnings = Counter(text for _, result in kept for text in result.warnings)
    notes = [f"{text} ({count} images)" for text, count in sorted(warnings.items())]
    unlike = [file for (_, result), file in zip(kept, files, strict=True) if result.looks]
    if unlike:
        more = f" and {len(unlike) - _NAMED} more" if len(unlike) > _NAMED else ""
        notes.append(
            f"{WARNING}{len(unlike)} of {len(kept)} images: {UNLIKE} (why: column looks of "
            f"manifest.csv): {', '.join(unlike[:_NAMED])}{more}"
        )
    if alone := patients.count(""):
        notes.append(
            f"{WARNING}{alone} of {len(kept)} images have no known patient: each counts as a "
            "patient of its own, so folds can't keep a patient's images together"
        )
    differing = sum(bool(conflict(duplicate, source)) for duplicate in duplicates)
    if differing:
        notes.append(
            f"{WARNING}{differing} duplicates have labels that differ from the kept copy's: see "
            "duplicates.csv"
        )
    return notes


def _write_boxes(
    source: Source,
    kept: list[tuple[Record, Result]],
    files: list[str],
    settings: Settings,
    out: Path,
) -> list[str]:
    """The boxes on prepared images, in their pixels; no file for an archive without boxes.

    Returns:
        What is to be noted of boxes that were left out.
    """
    if source.boxes is None:
        return []
    of = {rec.key: (file, res) for (rec, res), file in zip(kept, files, strict=True)}
    rows, outside, turned = [], 0, 0
    for box in source.boxes:
        if box.key not in of:
            continue
        file, result = of[box.key]
        if source.boxes_in_pixels:
            box = scaled(box, result.columns, result.rows)
        if TURNED in result.warnings:
            turned += 1
        elif min(box.width, box.height) <= 0:
            outside += 1
        else:
            place = _on_square(box, result, settings)
            rows.append((file, box.label, *(f"{part:.2f}" for part in place)))
    _write_csv(out / "boxes.csv", ("image", "label", "x", "y", "width", "height"), rows)
    left_out = {
        "are empty or lie beyond their film": outside,
        f"are on films that were {TURNED}": turned,
    }
    return [f"{WARNING}{n} boxes {why}: left out" for why, n in left_out.items() if n]


def _on_square(box: Box, result: Result, settings: Settings) -> tuple[float, ...]:
    """x, y, width and height in pixels of the prepared image."""
    shape = result.rows, result.columns
    top, left, rows, columns = inside_square(shape, settings.size, pad=settings.pad)
    corner = left + columns * box.x, top + rows * box.y
    return *corner, columns * box.width, rows * box.height


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple]) -> None:
    with replacing(path) as temporary, temporary.open("w", **TEXT) as file:
        write_rows(file, header, rows)


def write_linkage(path: Path, source: Source, files: list[str], images: dict[str, list]) -> None:
    """Write which file became which image, for its owner's eyes only (mode 0600).

    Raises:
        UserError: it can't be written there.
    """
    pairs = zip(source.records, files, strict=True)
    rows = [(printable(record.path), images[file][0]) for record, file in pairs if file in images]
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with temporary.open("w", **TEXT) as file:
            write_rows(file, ("file", "image"), rows)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"The linkage file {path} can't be written ({error.strerror}). Give another --linkage."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
