"""Turns a source into a prepared dataset: in parallel, resumable, with reasons for refusals."""

import csv
import hashlib
import hmac
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, replace
from functools import partial
from pathlib import Path

from data_prep.dataset.copies.search import copies_in, one_film, unlike_copies
from data_prep.dataset.identity import key_check, keyed_hash
from data_prep.dataset.journal import Journal
from data_prep.dataset.pool import Died, cores
from data_prep.dataset.publish import FORMAT, MANIFEST, Names, publish, write_linkage
from data_prep.dataset.repair import Call, mend
from data_prep.dataset.worker import Job, Result, Settings, prepare_file
from data_prep.errors import UserError
from data_prep.executors import Executor
from data_prep.executors.local import Part as Local
from data_prep.films.admission import DEFAULT, Admission
from data_prep.progress import Steps
from data_prep.readers.shared.records import Record, Source
from data_prep.say import say
from data_prep.tables.label_names import check_labels

_MANY = 20_000  # images; among fewer, copies are found within a second or two
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
                duplicates, remarks = copies_in(results, journal, workers, near)
                is_one_film = partial(one_film, results, journal)
                remarks += unlike_copies(duplicates, results, is_one_film)
                publish(
                    source,
                    results,
                    duplicates,
                    is_one_film,
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
    if source.boxes_in_pixels:
        digest.update(b"pixels")
    if source.spellings:
        digest.update(json.dumps(list(source.spellings.items())).encode())
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
