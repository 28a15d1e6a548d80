"""Turns a source into a prepared dataset: in parallel, resumable, with reasons for refusals."""

import csv
import hashlib
import hmac
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, astuple, dataclass, replace
from functools import partial
from pathlib import Path

from data_prep.dataset.copies.duplicates import CROWD, Duplicate, exact_duplicates, near_duplicates
from data_prep.dataset.identity import key_check, keyed_hash
from data_prep.dataset.journal import Journal
from data_prep.dataset.pool import Died, cores, spread
from data_prep.dataset.publish import FORMAT, MANIFEST, WARNING, Names, publish, write_linkage
from data_prep.dataset.repair import Call, mend
from data_prep.dataset.worker import Job, Result, Settings, prepare_file, same_film
from data_prep.errors import UserError
from data_prep.executors import Executor
from data_prep.executors.local import Part as Local
from data_prep.films.admission import DEFAULT, Admission
from data_prep.progress import Steps
from data_prep.readers.shared.records import Record, Source
from data_prep.say import say
from data_prep.tables.label_names import check_labels

_MANY = 20_000  # images; among fewer, copies are found within a second or two
_FEW_PAIRS = 100  # fewer are confirmed sooner here than in new processes
_HERE = Local()


@dataclass(frozen=True)
class Summary:
    """What a prepared dataset holds.

    Attributes:
        out: its folder.
        already: whether it was complete before the call; mended: how many of its images that were
            damaged or missing are made again; verified: whether each of them was read.
        description: `dataset.json`.
        rejected: reason -> files.
        duplicates: kind -> files; conflicts: how many of them differ in labels.
        notes: what the preparation noted beyond what its source did, where it was just made.

    It stands for its folder wherever a path is taken.
    """

    out: Path
    already: bool
    description: dict
    rejected: Counter
    duplicates: Counter
    conflicts: int
    mended: int = 0
    verified: bool = False
    notes: tuple[str, ...] = ()

    def __fspath__(self) -> str:
        return str(self.out)


def prepare(
    source: Source,
    out: Path,
    *,
    key: bytes,
    size: int = 512,
    pad: bool = False,
    stretch: tuple[float, float] | None = None,
    workers: int | None = None,
    public: bool = False,
    hash_names: bool = False,
    views: str = "all",
    admission: Admission = DEFAULT,
    near: bool = True,
    merge_patients: bool = True,
    linkage: Path | None = None,
    verify: bool = False,
    progress: bool = True,
    executor: Executor = _HERE,
) -> Summary:
    """Prepare a source in a folder. After a kill the same call resumes, giving the same bytes.

    Images of a finished dataset that are missing or have lost a part are made again.

    Args:
        source: what to prepare.
        out: a new or empty folder, or one that the same call began or finished.
        key: the pseudonyms' secret key (`identity.load_key`).
        size: side of the prepared images, pixels.
        pad: keep the aspect ratio and pad to a square, instead of stretching to it.
        stretch: percentiles (low, high) that become black and white.
        workers: processes; the machine's cores if None; 0 works in this process.
        public: keep patient, study and image identifiers as they are.
        hash_names: also name images that aren't DICOM by keyed hashes.
        views: the films to keep, by their view (`views.CHOICES`).
        admission: what is accepted as a film.
        near: look for near-duplicates as well as exact ones.
        merge_patients: treat two patients that share a copy of one film as one.
        linkage: a file outside `out` that records which file became which image.
        verify: read every image of a finished dataset, and restore damaged ones.
        progress: show progress.
        executor: where files are prepared; on a cluster, all machines must see the raw files.

    Returns:
        What the dataset holds.

    Raises:
        UserError: nothing can be prepared, or `out` can't be used.
    """
    out = Path(out)
    _check_linkage(linkage, out)
    check_labels(source.labels, MANIFEST)
    settings = Settings(size, pad, stretch, public, views, admission)
    names = Names(key, public, hash_names, merge_patients)
    ids = [_file_id(record, key) for record in source.records]
    workers = cores() if workers is None else workers
    request = _request(source, settings, names, near)
    files = [_file(record, key) for record in source.records]
    call = Call(_begun_with(settings, key), request, dict(zip(files, ids, strict=True)))
    mended = 0
    try:
        with Journal(out) as journal:
            already = journal.finished
            if already:
                make = partial(_made, source, ids, settings, key, journal, workers, executor)
                mended = mend(journal, call, make, verify=verify, workers=workers, shown=progress)
            else:
                journal.require(call.made)
                results = _results(source, ids, settings, key, journal, workers, executor, progress)
                _check_any(source, results, journal)
                if near and progress and len(results) > _MANY:
                    say(f"{source.name}: looking for near-duplicates among {len(results)} images")
                duplicates, remarks = _duplicates(results, journal, workers, near)
                one_film = partial(_one_film, results, journal)
                remarks += _unlike(duplicates, results, one_film)
                publish(
                    source,
                    results,
                    duplicates,
                    one_film,
                    settings,
                    names,
                    journal,
                    call,
                    remarks,
                )
            if linkage:
                images = (journal.done() or {})["images"]
                write_linkage(linkage, source, files, images)
    except OSError as error:
        raise UserError(
            f"Writing to {out} failed ({error.strerror or type(error).__name__}). Correct that; "
            "the same command then resumes."
        ) from error
    return replace(summary(out, already), mended=mended, verified=already and verify)


def _check_linkage(linkage: Path | None, out: Path) -> None:
    if linkage and linkage.resolve().is_relative_to(out.resolve()):
        raise UserError(
            f"The linkage file {linkage} would lie inside the dataset, which may be passed on. "
            "Give a place outside it."
        )


def _file_id(record: Record, key: bytes) -> str:
    """A file's identity: its path, size and time, so that a changed file is done again."""
    try:
        state = record.path.stat()
        text = f"{record.key}\x00{state.st_size}\x00{state.st_mtime_ns}"
    except OSError:
        text = record.key  # reading it will give the reason
    return keyed_hash(key, "journal", text)


def _file(record: Record, key: bytes) -> str:
    """A file's identity by its path alone, which stays when a lost file is put back."""
    return keyed_hash(key, "journal", f"\x00{record.key}\x00")


def _begun_with(settings: Settings, key: bytes) -> dict:
    facts = asdict(settings)
    stretch = list(settings.stretch) if settings.stretch else None
    made = {"stretch": stretch, "key": key_check(key), "format": FORMAT}
    return facts.pop("admission") | facts | made


def _request(source: Source, settings: Settings, names: Names, near: bool) -> str:
    """A fingerprint of everything that decides the dataset, but for the files' content."""
    about = [source.name, source.labels, source.rejected, source.origin, source.citation]
    content = [about, source.notes, asdict(settings), names.hash_names, near]
    content += [names.merge_patients, FORMAT]
    digest = hmac.new(names.key, json.dumps(content).encode(), hashlib.sha256)
    for r in source.records:
        record = [r.key, r.codes, r.patient, r.study, r.view, r.sex, r.age, r.split]
        digest.update(json.dumps(record).encode())
    digest.update(json.dumps([astuple(box) for box in source.boxes or ()]).encode())
    return digest.hexdigest()


def _results(
    source: Source,
    ids: list[str],
    settings: Settings,
    key: bytes,
    journal: Journal,
    workers: int,
    executor: Executor,
    progress: bool,
) -> list[Result]:
    """Prepare what the journal lacks; the results in the records' order."""
    known = journal.results()
    wanted = set(ids)
    done = {id_: result for id_, result in known.items() if id_ in wanted}
    with Steps(f"{source.name}: prepared", len(wanted), done=len(done), shown=progress) as steps:
        left = wanted - set(done)
        for result in _made(source, ids, settings, key, journal, workers, executor, left):
            journal.add(result)
            done[result.id] = result
            steps.step()
    return [done[id_] for id_ in ids]


def _made(
    source: Source,
    ids: list[str],
    settings: Settings,
    key: bytes,
    journal: Journal,
    workers: int,
    executor: Executor,
    wanted: set[str],
) -> Iterator[Result]:
    """Prepare the files of the wanted identities, as they are done."""
    if not wanted:
        return
    pairs = zip(source.records, ids, strict=True)
    jobs = (
        Job(id_, r.path.absolute(), journal.image(id_), r.view) for r, id_ in pairs if id_ in wanted
    )
    work, limits = partial(prepare_file, settings=settings, key=key), settings.admission.limits
    folder, root = journal.staged.absolute(), _root_of(source)
    how = {"workers": min(workers, len(wanted)), "folder": folder, "reads": (root,)}
    for job, outcome in executor.spread(work, jobs, limits, **how):
        yield Result(job.id, outcome.reason) if isinstance(outcome, Died) else outcome


def _root_of(source: Source) -> Path:
    """The folder in which all files lie."""
    return Path(os.path.commonpath({record.path.absolute().parent for record in source.records}))


def _check_any(source: Source, results: list[Result], journal: Journal) -> None:
    if any(result.reason is None for result in results):
        return
    reasons = Counter(result.reason for result in results)
    reasons.update(reason for _, reason in source.rejected)
    journal.discard()
    common = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
    raise UserError(f"No file could be prepared: {common or 'the table names none'}.")


def _duplicates(
    results: list[Result], journal: Journal, workers: int, near: bool
) -> tuple[list[Duplicate], list[str]]:
    """Same SOPInstanceUID, then same pixels, then nearly the same; the first in order stays.

    Returns:
        (the copies, remarks on the search).
    """
    left = [number for number, result in enumerate(results) if result.reason is None]
    found: list[Duplicate] = []
    crowded = 0
    for kind in ("sop", "pixels"):
        values = [results[n].sop if kind == "sop" else results[n].digest for n in left]
        copies = exact_duplicates(values, kind)
        found += [Duplicate(left[d.kept], left[d.dropped], kind) for d in copies]
        gone = {copy.dropped for copy in copies}
        left = [number for place, number in enumerate(left) if place not in gone]
    if near and left:
        signatures = [results[number].signature for number in left]
        images = {number: journal.image(results[number].id) for number in left}
        copies, crowded = near_duplicates(left, signatures, partial(_confirm, images, workers))
        found += copies
    kept_for = {duplicate.dropped: duplicate.kept for duplicate in found}
    found = [Duplicate(_root(d.kept, kept_for), d.dropped, d.kind) for d in found]
    remarks = [
        f"{WARNING}{crowded} films look like more than {CROWD} others that they don't copy: near "
        "copies among them weren't looked for"
    ] * bool(crowded)
    return sorted(found, key=lambda duplicate: duplicate.dropped), remarks


def _root(number: int, kept_for: dict[int, int]) -> int:
    """The record that stays, where the one kept at first was itself dropped later."""
    while number in kept_for:
        number = kept_for[number]
    return number


def _confirm(images: dict[int, Path], workers: int, pairs: list[tuple[int, int]]) -> list[bool]:
    paths = {(images[first], images[second]): None for first, second in pairs}
    answers = dict(spread(same_film, paths, workers if len(pairs) > _FEW_PAIRS else 0))
    return [answers[images[first], images[second]] is True for first, second in pairs]


def _one_film(results: list[Result], journal: Journal, duplicate: Duplicate) -> bool:
    """Whether it shows the film that is kept: not if an empty picture, or another, has its UID."""
    pair = results[duplicate.kept], results[duplicate.dropped]
    first, second = (journal.image(result.id) for result in pair)
    return duplicate.kind == "near" or same_film((first, second))


def _unlike(
    duplicates: list[Duplicate], results: list[Result], one_film: Callable[[Duplicate], bool]
) -> list[str]:
    """A warning where one SOPInstanceUID stands on different pictures: poor anonymisation."""
    unlike = 0
    for duplicate in duplicates:
        pair = results[duplicate.kept], results[duplicate.dropped]
        if duplicate.kind == "sop" and pair[0].digest != pair[1].digest:
            unlike += not one_film(duplicate)
    return [
        f"{WARNING}{unlike} files dropped as duplicates have the SOPInstanceUID of another file "
        "but a different picture: correct the UIDs if these are different films"
    ] * bool(unlike)


def summary(out: Path, already: bool = False) -> Summary:
    """Read a prepared dataset's own summary."""
    description = json.loads((out / "dataset.json").read_text(encoding="utf-8"))
    rejected = _read(out / "rejected.csv")
    duplicates = _read(out / "duplicates.csv")
    return Summary(
        out,
        already,
        description,
        Counter(row["reason"] for row in rejected),
        Counter(row["kind"] for row in duplicates),
        sum(bool(row["conflict"]) for row in duplicates),
    )


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
