"""The driver: a source becomes a prepared dataset: parallel, resumable, refusals with reasons."""

import csv
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass
from functools import partial
from pathlib import Path

from data_prep.admission import DEFAULT, Admission
from data_prep.decode import Job, Result, Settings, prepare_file, same_film
from data_prep.duplicates import Duplicate, exact_duplicates, near_duplicates
from data_prep.errors import UserError
from data_prep.identity import keyed_hash
from data_prep.journal import Journal
from data_prep.pool import Died, cores, spread
from data_prep.progress import Steps
from data_prep.publish import FORMAT, MANIFEST, WARNING, Names, publish, write_linkage
from data_prep.records import Record, Source
from data_prep.say import say

_MANY = 20_000  # images; among fewer, copies are found within a second or two
_FEW_PAIRS = 100  # fewer are confirmed sooner here than in new processes


@dataclass(frozen=True)
class Summary:
    """What a prepared dataset holds.

    Attributes:
        out: its folder.
        already: whether it was complete before the call.
        description: `dataset.json`.
        rejected: reason -> files.
        duplicates: kind -> files; conflicts: how many of them differ in labels.
    """

    out: Path
    already: bool
    description: dict
    rejected: Counter
    duplicates: Counter
    conflicts: int


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
    linkage: Path | None = None,
    progress: bool = True,
) -> Summary:
    """Prepare a source into a folder. After a kill the same call goes on, to the same bytes.

    Args:
        source: what to prepare.
        out: a new or empty folder, or one that the same call left unfinished or finished.
        key: secret of the pseudonyms (`identity.load_key`).
        size: side of the prepared images, pixels.
        pad: keep the aspect and pad to a square, instead of stretching to it.
        stretch: percentiles (low, high) that become black and white.
        workers: processes; the machine's cores where None; 0 works in this process.
        public: keep patient, study and image identifiers as they are.
        hash_names: name images that aren't DICOM by keyed hashes too.
        views: the films to keep, by their view (`views.CHOICES`).
        admission: what is taken for a film.
        near: look for near-duplicates as well as exact ones.
        linkage: a file outside `out` to hold which file became which image.
        progress: show how far it is.

    Returns:
        What the dataset holds.

    Raises:
        UserError: nothing can be prepared, or `out` can't be used.
    """
    out = Path(out)
    _check_linkage(linkage, out)
    _check_labels(source.labels)
    settings = Settings(size, pad, stretch, public, views, admission)
    names = Names(key, public, hash_names)
    ids = [_file_id(record, key) for record in source.records]
    request = _request(source, ids, settings, names, near)
    try:
        with Journal(out) as journal:
            already = journal.finished
            if already:
                _check_same(journal, request)
            else:
                journal.require(_begun_with(settings, key))
                workers = cores() if workers is None else workers
                results = _results(source, ids, settings, key, journal, workers, progress)
                _check_any(source, results, journal)
                if near and progress and len(results) > _MANY:
                    say(f"{source.name}: looking for near-duplicates among {len(results)} images")
                duplicates = _duplicates(results, journal, workers, near)
                remarks = _unlike(duplicates, results, journal)
                publish(source, results, duplicates, settings, names, journal, request, remarks)
            if linkage:
                write_linkage(linkage, source, ids, (journal.done() or {})["images"])
    except OSError as error:
        raise UserError(
            f"Writing to {out} failed ({error.strerror or type(error).__name__}). Mend that, then "
            "the same command goes on from here."
        ) from error
    return summary(out, already)


def _check_linkage(linkage: Path | None, out: Path) -> None:
    if linkage and linkage.resolve().is_relative_to(out.resolve()):
        raise UserError(
            f"The linkage file {linkage} would lie inside the dataset, which may be passed on. "
            "Give a place outside it."
        )


def _check_labels(labels: tuple[str, ...]) -> None:
    twice = [label for label, count in Counter((*MANIFEST, *labels)).items() if count > 1]
    if twice:
        raise UserError(
            f"A label can't be called {twice[0]!r}: the manifest has such a column already. "
            "Rename it in the table, or name the labels without it."
        )


def _file_id(record: Record, key: bytes) -> str:
    """A file's identity: its path, size and time, so that a changed file is done again."""
    try:
        state = record.path.stat()
        text = f"{record.key}\x00{state.st_size}\x00{state.st_mtime_ns}"
    except OSError:
        text = record.key  # reading it will give the reason
    return keyed_hash(key, "journal", text)


def _begun_with(settings: Settings, key: bytes) -> dict:
    facts = asdict(settings)
    stretch = list(settings.stretch) if settings.stretch else None
    check = keyed_hash(key, "key", "check")
    return facts.pop("admission") | facts | {"stretch": stretch, "key": check, "format": FORMAT}


def _request(source: Source, ids: list[str], settings: Settings, names: Names, near: bool) -> str:
    """A fingerprint of everything that decides the dataset."""
    about = [source.name, source.labels, source.rejected, source.origin, source.citation]
    content = [about, source.notes, asdict(settings), names.hash_names, near, FORMAT]
    digest = hmac.new(names.key, json.dumps(content).encode(), hashlib.sha256)
    for id_, r in zip(ids, source.records, strict=True):
        record = [id_, r.codes, r.patient, r.study, r.view, r.sex, r.age, r.split]
        digest.update(json.dumps(record).encode())
    digest.update(json.dumps([astuple(box) for box in source.boxes or ()]).encode())
    return digest.hexdigest()


def _check_same(journal: Journal, request: str) -> None:
    done = journal.done()
    if done is None or done["request"] != request:
        raise UserError(
            f"{journal.out} holds a finished dataset of other files, labels or settings. Give "
            "another --out, or remove that folder."
        )


def _results(
    source: Source,
    ids: list[str],
    settings: Settings,
    key: bytes,
    journal: Journal,
    workers: int,
    progress: bool,
) -> list[Result]:
    """Prepare what the journal lacks; the results in the records' order."""
    known = journal.results()
    wanted = set(ids)
    done = {id_: result for id_, result in known.items() if id_ in wanted}
    jobs = _jobs(source, ids, set(done), journal)
    work = partial(prepare_file, settings=settings, key=key)
    workers = min(workers, len(wanted) - len(done))
    with Steps(f"{source.name}: prepared", len(wanted), done=len(done), shown=progress) as steps:
        for job, outcome in spread(work, jobs, workers, settings.admission.limits):
            result = Result(job.id, outcome.reason) if isinstance(outcome, Died) else outcome
            journal.add(result)
            done[job.id] = result
            steps.step()
    return [done[id_] for id_ in ids]


def _jobs(source: Source, ids: list[str], done: set[str], journal: Journal) -> Iterator[Job]:
    for record, id_ in zip(source.records, ids, strict=True):
        if id_ not in done:
            yield Job(id_, record.path, journal.image(id_), record.view)


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
) -> list[Duplicate]:
    """Same SOPInstanceUID, then same pixels, then nearly the same; the first in order stays."""
    left = [number for number, result in enumerate(results) if result.reason is None]
    found: list[Duplicate] = []
    for kind in ("sop", "pixels"):
        values = [results[n].sop if kind == "sop" else results[n].digest for n in left]
        copies = exact_duplicates(values, kind)
        found += [Duplicate(left[d.kept], left[d.dropped], kind) for d in copies]
        gone = {copy.dropped for copy in copies}
        left = [number for place, number in enumerate(left) if place not in gone]
    if near and left:
        signatures = [results[number].signature for number in left]
        images = {number: journal.image(results[number].id) for number in left}
        found += near_duplicates(left, signatures, partial(_confirm, images, workers))
    kept_for = {duplicate.dropped: duplicate.kept for duplicate in found}
    found = [Duplicate(_root(d.kept, kept_for), d.dropped, d.kind) for d in found]
    return sorted(found, key=lambda duplicate: duplicate.dropped)


def _root(number: int, kept_for: dict[int, int]) -> int:
    """The record that stays, where the one kept at first was itself dropped later."""
    while number in kept_for:
        number = kept_for[number]
    return number


def _confirm(images: dict[int, Path], workers: int, pairs: list[tuple[int, int]]) -> list[bool]:
    paths = {(images[first], images[second]): None for first, second in pairs}
    answers = dict(spread(same_film, paths, workers if len(pairs) > _FEW_PAIRS else 0))
    return [answers[images[first], images[second]] is True for first, second in pairs]


def _unlike(duplicates: list[Duplicate], results: list[Result], journal: Journal) -> list[str]:
    """A warning where one SOPInstanceUID stands on different pictures: poor anonymisation."""
    unlike = 0
    for duplicate in duplicates:
        pair = results[duplicate.kept], results[duplicate.dropped]
        if duplicate.kind == "sop" and pair[0].digest != pair[1].digest:
            first, second = (journal.image(result.id) for result in pair)
            unlike += not same_film((first, second))
    return [
        f"{WARNING}{unlike} files dropped as duplicates have the SOPInstanceUID of another file "
        "but another picture: mend the UIDs if those are different films"
    ] * bool(unlike)


def summary(out: Path, already: bool = False) -> Summary:
    """Read what a prepared dataset says of itself."""
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
