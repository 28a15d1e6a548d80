"""Finds image files, decodes them in parallel and in order, and prepares what a model sees."""

import glob
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from cxrkeras.data.preparation import Preparation
from cxrkeras.serving.predict.told import Told, of_header
from data_prep.dataset.pool import Died, cores, spread
from data_prep.errors import RejectedFile, UserError
from data_prep.films.admission import DEFAULT, Admission, Limits
from data_prep.films.film import to_square
from data_prep.films.square import Settings, read_square
from data_prep.tables.matching import FileIndex

_LEAST = 64  # prepared squares that may wait for the model, and
_MEMORY = 2**27  # bytes of them: hundreds, decoded while TensorFlow is imported on another core


@dataclass(frozen=True)
class Prepared:
    """One file, prepared or refused.

    Args:
        path: as it was given, or found.
        image: (S, S) uint8 grey, what the model sees; None where the file can't be used.
        reason: why not, in one line without patient data; "" for a usable file.
        warnings: short lines without patient data.
        digest: of the picture as it was decoded (`Film.digest`), where asked for.
        more: (P, P) uint8 squares of other sides, by name, where asked for.
        told: what is known of the film beside the picture, where asked for; never in its repr.
    """

    path: Path
    image: np.ndarray | None
    reason: str = ""
    warnings: tuple[str, ...] = ()
    digest: str = ""
    more: Mapping[str, np.ndarray] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict, repr=False)


def find_films(words: Sequence[str]) -> tuple[list[Path], list[Prepared]]:
    """The files that words of a command line mean: files, folders (all below), patterns.

    Args:
        words: each the path of a file or folder, or a pattern such as `films/**/*.dcm`.

    Returns:
        The files, each path once, in the order given and sorted within a word; and what can't be
        used.
    """
    files: dict[str, Path] = {}
    refused: list[Prepared] = []
    for word in words:
        for path in _meant(word):
            found, problems = _below(path)
            for file in found:
                files.setdefault(os.path.abspath(file), file)
            refused += [Prepared(place, None, reason) for place, reason in problems]
    return list(files.values()), refused


def _meant(word: str) -> list[Path]:
    """The word itself where there is such a file; else what it matches as a pattern."""
    if os.path.exists(word) or not glob.has_magic(word):
        return [Path(word or "''")]  # an empty word isn't the working folder
    return [Path(path) for path in sorted(glob.glob(word, recursive=True))] or [Path(word)]


def _below(path: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The files that a path means, and (path, reason) of what can't be used."""
    if not path.is_dir():
        return ([path], []) if path.exists() else ([], [(path, "there is no such file")])
    try:
        index = FileIndex(path)
    except UserError:
        return [], [(path, "there is no image or DICOM file in this folder")]
    outside = [(path / key, "a link that leads out of the folder") for key in sorted(index.escapes)]
    return [path / key for key in index.keys], outside


def none_readable(count: int, reason: str) -> UserError:
    """What is said when of `count` files none could be read, the first for this reason."""
    return UserError(
        f"None of {count} files could be read: {reason}. "
        "Give DICOM, PNG, JPEG or TIFF files, folders or patterns."
    )


class FilmStream:
    """Prepares files in worker processes while the caller does something else, e.g. predicts.

    A context; iterate over it once. Decoding begins at once; memory stays flat, since it waits
    when squares of 128 MiB (but at least 64) are ready. A file on which its decoder crashes is
    refused, not fatal.

    Args:
        files: what to read; kept as `files`.
        preparation: of the model's dataset.
        side: the side S in pixels that the model sees.
        admission: what is accepted as a film.
        digests: say each picture's digest, which costs some milliseconds.
        more: other preparations, by name, of which the squares are wanted too.
        extras: what a film's header is to tell, see `told.of_header`.
        table: what a table tells of each file, which goes over its header.
        workers: processes; the machine's cores if None; 0 decodes in this process, without its
            limits of memory and time.
    """

    def __init__(
        self,
        files: Sequence[Path],
        preparation: Preparation,
        side: int,
        *,
        admission: Admission = DEFAULT,
        digests: bool = False,
        more: Mapping[str, Preparation] | None = None,
        extras: Sequence[str] = (),
        table: Sequence[Told] | None = None,
        workers: int | None = None,
    ):
        self.files, self._side, self._table = tuple(files), side, table
        sides = {name: one.image_size for name, one in (more or {}).items()}
        settings = _settings(preparation, admission)
        work = partial(_read, settings=settings, digests=digests, more=sides, extras=extras)
        workers = min(cores() if workers is None else workers, len(self.files))
        bytes_each = sum(one**2 for one in (preparation.image_size, *sides.values()))
        self._queue: queue.Queue = queue.Queue(max(_LEAST, _MEMORY // bytes_each))
        self._stopped = threading.Event()
        how = (work, workers, admission.limits)
        self._thread = threading.Thread(target=self._fill, args=how, daemon=True)

    def __len__(self) -> int:
        return len(self.files)

    def __enter__(self) -> "FilmStream":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        while self._thread.is_alive():
            with suppress(queue.Empty):
                self._queue.get(timeout=0.05)  # it may be waiting for room

    def __iter__(self) -> Iterator[Prepared]:
        """The files in order.

        Raises:
            UserError: no worker process can be started.
        """
        waiting: dict[int, Prepared] = {}
        for number in range(len(self.files)):
            while number not in waiting:
                found = self._queue.get()
                if isinstance(found, BaseException):
                    raise found
                waiting[found[0]] = found[1]
            film = _at_side(waiting.pop(number), self._side)
            if self._table is not None:
                film = replace(film, told={**film.told, **self._table[number]})
            yield film

    def _fill(self, work: Callable, workers: int, limits: Limits) -> None:
        try:
            with closing(spread(work, enumerate(self.files), workers, limits)) as done:
                for (number, path), outcome in done:
                    if self._stopped.is_set():
                        return
                    died = isinstance(outcome, Died)
                    told = Prepared(path, None, outcome.reason) if died else outcome
                    self._queue.put((number, told))
        except BaseException as error:
            self._queue.put(error)


def prepare_film(path: Path, preparation: Preparation, side: int) -> Prepared:
    """One file of our own, in this process."""
    return _at_side(_read((0, path), _settings(preparation, DEFAULT)), side)


def _settings(preparation: Preparation, admission: Admission) -> Settings:
    size, pad, stretch = preparation.image_size, preparation.pad, preparation.stretch
    return Settings(size, pad, stretch, admission=admission)


def _read(
    item: tuple[int, Path],
    settings: Settings,
    digests: bool = False,
    more: Mapping[str, int] | None = None,
    extras: Sequence[str] = (),
) -> Prepared:
    _, path = item
    try:
        film, square = read_square(path, settings)
    except RejectedFile as refusal:
        return Prepared(path, None, str(refusal))
    squares = {
        name: to_square(film.pixels, side, pad=settings.pad) for name, side in (more or {}).items()
    }
    digest = film.digest if digests else ""
    told = of_header(film.header, extras)
    return Prepared(path, square, warnings=film.remarks, digest=digest, more=squares, told=told)


def _at_side(prepared: Prepared, side: int) -> Prepared:
    """Resized as in training, by TensorFlow's own filter, whose rounding no other has."""
    if prepared.image is None or len(prepared.image) == side:
        return prepared
    from cxrkeras.data.images import resized

    image = resized(prepared.image[..., None], side).numpy()[..., 0]
    return replace(prepared, image=image)
