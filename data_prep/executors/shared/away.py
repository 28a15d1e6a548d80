"""What runs on another machine: a task, or some of many items. Knows nothing of Ray."""

import os
import queue
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from data_prep.dataset.pool import spread
from data_prep.executors import Folder, Task
from data_prep.executors.shared.bundle import changed, needed, pack, state, unpack
from data_prep.executors.shared.child import Ended, Said, run_in_child
from data_prep.films.admission import Limits

_LOOK = 0.5  # seconds between looks at whether anybody waits
Archives = dict[Path, bytes]


@dataclass(frozen=True)
class Lacking:
    """Instead of an outcome: the machine doesn't see the folders, and wants copies."""


@dataclass(frozen=True)
class Brought:
    """Something said, with what was written into folders that the asker can't see."""

    said: object
    files: Archives = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """The outcome of one of many items, by its number."""

    number: int
    outcome: object


@dataclass(frozen=True)
class Raised:
    """What the work on an item raised."""

    error: Exception


class Marks:
    """Files by which another machine knows a folder that both see; a context.

    Attributes:
        name: of these files.
    """

    def __init__(self) -> None:
        self.name = f".seen.{socket.gethostname()}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
        self._folders: set[Path] = set()

    def put(self, folders: Sequence[Folder]) -> None:
        """Mark folders; they are made where there are none."""
        for folder in folders:
            if folder.path not in self._folders:
                folder.path.mkdir(parents=True, exist_ok=True)
                (folder.path / self.name).touch()
                self._folders.add(folder.path)

    def remove(self) -> None:
        """Leave no mark."""
        for folder in self._folders:
            (folder / self.name).unlink(missing_ok=True)


def folders_of(task: Task) -> list[Folder]:
    """All folders that a task writes into."""
    return [one for one in (*task.arguments, *task.environment.values()) if isinstance(one, Folder)]


def archives(folders: Sequence[Folder]) -> Archives:
    """What a machine needs that doesn't see these folders."""
    return {one.path: pack(one.path, needed(one.path, one.needs)) for one in folders}


def keep(files: Archives) -> None:
    """Put what was brought into the folders."""
    for folder, content in files.items():
        unpack(content, folder)


def do_task(task: Task, mark: str, sent: Archives | None) -> Iterator[Said | Brought | Lacking]:
    """Work on a task: its lines, then its `Brought` end.

    Args:
        task: the task.
        mark: the file in each of its folders, if this machine sees them.
        sent: copies for a machine that doesn't; None if none were asked for.
    """
    if reason := _missing(task.reads):
        yield Brought(Ended(reason=reason))
        return
    with _visited(folders_of(task), mark, sent) as places:
        if places is None:
            yield Lacking()
            return
        variables = {name: str(places.path(value)) for name, value in task.environment.items()}
        arguments = tuple(map(places.path, task.arguments))
        child, told = run_in_child(task.call, arguments, variables)
        try:
            while not isinstance(said := _next(told), Ended):
                if said:
                    yield said
        finally:
            child.end()
        yield Brought(said, places.written() if not said.reason else {})


def _next(told: queue.Queue) -> Said | Ended | None:
    """What is told; None at times, when it is seen whether nobody waits any more."""
    try:
        return told.get(timeout=_LOOK)
    except queue.Empty:
        return None


def do_items(
    work: Callable,
    items: Sequence[tuple[int, object]],
    limits: Limits | None,
    workers: int,
    folder: Path | None,
    reads: Sequence[Path],
    mark: str,
) -> Iterator[Brought]:
    """Work on numbered items: an `Item` for each as it is done, or what was `Raised`."""
    if reason := _missing(reads):
        yield Brought(Ended(reason=reason))
        return
    folders = [Folder(folder)] if folder else []
    with _visited(folders, mark, {one.path: b"" for one in folders}) as places:
        if folder:
            work = partial(work, folder=places.path(folders[0]))
        try:
            for (number, _), outcome in spread(partial(_numbered, work), items, workers, limits):
                yield Brought(Item(number, outcome), places.written(forget=True))
        except Exception as error:
            yield Brought(Raised(error))


def _numbered(work: Callable, item: tuple[int, object]) -> object:
    return work(item[1])


class _Places:
    """Where folders of the asker are on this machine."""

    def __init__(self, places: Mapping[Folder, Path]):
        self._places = dict(places)
        self._before = {place: state(place) for place in self._places.values()}

    def path(self, value: object) -> object:
        """A folder's place here; another value as it is."""
        return self._places.get(value, value.path) if isinstance(value, Folder) else value

    def written(self, *, forget: bool = False) -> Archives:
        """What was written since, where the asker doesn't see it; `forget` removes it here."""
        found = {}
        for folder, place in self._places.items():
            other = changed(place, self._before[place])
            if files := [name for name in other if Path(name).parts[0] not in folder.stays]:
                found[folder.path] = pack(place, files)
                for name in files if forget else ():
                    (place / name).unlink()
        return found


@contextmanager
def _visited(folders: Sequence[Folder], mark: str, sent: Archives | None) -> Iterator:
    """The places of folders, of copies where they aren't seen; None where these are lacking."""
    unseen = [one for one in folders if not (one.path / mark).is_file()]
    if unseen and sent is None:
        yield None
        return
    home = Path(tempfile.mkdtemp(prefix="cxrkeras-"))
    try:
        places = {}
        for number, folder in enumerate(unseen):
            places[folder] = home / str(number)
            places[folder].mkdir()
            if content := sent[folder.path]:
                unpack(content, places[folder])
        yield _Places(places)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _missing(reads: Sequence[Path]) -> str:
    for path in reads:
        if not path.exists():
            return (
                f"{path} isn't there on the machine {socket.gethostname()}. What tasks read must "
                "lie under one path on all machines, on storage that they share."
            )
    return ""
