"""One raw file to one prepared PNG: the work of a worker process. Never imports Keras."""

import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.dataset.duplicates import SAME_FILM, signature, similarity
from data_prep.dataset.identity import keyed_hash
from data_prep.dataset.prepared import read_prepared, without_padding
from data_prep.errors import RejectedFile
from data_prep.files import atomic_write_bytes
from data_prep.films.film import Film, Header, pixel_digest, stretched, to_square
from data_prep.films.square import Settings, read_square
from data_prep.films.views import admits
from data_prep.tables.columns import plausible_age, sex_of


@dataclass(frozen=True, slots=True)
class Job:
    """One file to prepare.

    Attributes:
        id: its keyed identity.
        path: the file.
        target: where the PNG goes.
        view: as the archive's table has it; else the header's counts.
    """

    id: str
    path: Path
    target: Path
    view: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a file gave. Identifiers are keyed hashes (raw only in a public archive).

    Attributes:
        id: the job's.
        reason: why the file was refused, or None.
        bytes: the PNG's size.
        rows, columns: the film's size, upright, pixels.
        digest: SHA-256 of the decoded pixels; prepared: that of the prepared image.
        signature: perceptual hash of the film, however it is prepared.
        dicom: whether it had a DICOM header.
        patient, study, sop, view, sex, age: from that header.
        warnings: short lines without patient data.
        looks: what tells the picture from a frontal chest film; "" for one that looks like it.
    """

    id: str
    reason: str | None = None
    bytes: int = 0
    rows: int = 0
    columns: int = 0
    digest: str = ""
    prepared: str = ""
    signature: str = ""
    dicom: bool = False
    patient: str | None = None
    study: str | None = None
    sop: str | None = None
    view: str | None = None
    sex: str | None = None
    age: float | None = None
    warnings: tuple[str, ...] = ()
    looks: str = ""


def pseudonym(key: bytes, public: bool, kind: str, value: str | None) -> str | None:
    """The keyed hash of an identifier; in a public archive the identifier itself."""
    if value is None or not value.strip():
        return None
    return value.strip() if public else keyed_hash(key, kind, value)


def prepare_file(job: Job, settings: Settings, key: bytes, folder: Path | None = None) -> Result:
    """Decode, resize and write one file.

    Args:
        job: the file.
        settings: how it is prepared.
        key: the pseudonyms' secret key.
        folder: where the PNG goes under its name, on a machine that doesn't see its own folder.

    Returns:
        The result; a file that can't be used has its reason there.

    Raises:
        OSError: the PNG can't be written (a full disk): that is no fault of the file.
    """
    try:
        if job.view:
            _check_view(job.view, settings)
        film, square = read_square(job.path, settings)
        if not job.view:
            _check_view(film.header.view if film.header else None, settings)
    except RejectedFile as refusal:
        return Result(job.id, reason=str(refusal))
    png = _png(square)
    atomic_write_bytes(folder / job.target.name if folder else job.target, png)
    return _result(job.id, film, square, len(png), settings, key)


def _check_view(view: str | None, settings: Settings) -> None:
    if not admits(settings.views, view):
        raise RejectedFile(f"not a {settings.views} view (--views)")


def _png(square: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(square).save(buffer, "PNG")
    return buffer.getvalue()


def _result(
    id_: str, film: Film, square: np.ndarray, size: int, settings: Settings, key: bytes
) -> Result:
    header = film.header or Header()
    identity = {
        kind: pseudonym(key, settings.public, kind, value)
        for kind, value in (
            ("patient", header.patient_id),
            ("study", header.study_uid),
            ("sop", header.sop_uid),
        )
    }
    return Result(
        id_,
        bytes=size,
        rows=film.pixels.shape[0],
        columns=film.pixels.shape[1],
        digest=film.digest,
        prepared=pixel_digest(square),
        signature=signature(_unprepared(film, square, settings)),
        dicom=film.header is not None,
        view=header.view,
        sex=sex_of(header.sex or ""),
        age=plausible_age(header.age),
        warnings=tuple(film.warnings),
        looks="; ".join(film.unlike),
        **identity,
    )


def _unprepared(film: Film, square: np.ndarray, settings: Settings) -> np.ndarray:
    """The film as it is prepared by default, so that copies are known by one signature."""
    if not settings.pad and settings.stretch is None:
        return square
    return to_square(stretched(film.decoded, 0, 100), settings.size)


def same_film(pair: tuple[Path, Path], *, padded: tuple[bool, bool] = (False, False)) -> bool:
    """Whether two prepared images are copies of one film (see `duplicates.similarity`).

    Args:
        pair: their files.
        padded: those whose padding is to be left out, where only one of them was padded.

    Raises:
        RejectedFile: one of them can't be read.
    """
    first, second = (
        without_padding(square) if pad else square
        for square, pad in zip(map(read_prepared, pair), padded, strict=True)
    )
    return similarity(first, second) >= SAME_FILM


def as_line(result: Result) -> dict:
    """The result for the journal: only what differs from the defaults."""
    empty = Result("")
    return {name: v for name, v in asdict(result).items() if v != getattr(empty, name)}


def from_line(line: dict) -> Result:
    """The result that `as_line` wrote."""
    return Result(**{**line, "warnings": tuple(line.get("warnings", ()))})
