"""A Ray cluster, or Ray on this machine: folds, cells and files spread over its machines.

Source: Moritz et al., Ray: A Distributed Framework for Emerging AI Applications, OSDI 2018.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from data_prep.dataset.pool import cores
from data_prep.errors import UserError
from data_prep.executors import Executor, Folder, Outcome, Task
from data_prep.executors.shared.away import (
    Item,
    Lacking,
    Marks,
    Raised,
    archives,
    do_items,
    do_task,
    folders_of,
    keep,
)
from data_prep.executors.shared.child import Ended, Said
from data_prep.executors.shared.loop import carry_out
from data_prep.executors.shared.streams import PATIENCE, following, started, stop
from data_prep.registry import option

_FEWEST, _MOST = 16, 512  # items of a call
_SHARES = 8  # calls per place, so that all end at about the same time
_TRIES = 2
THREADS = "TF_NUM_INTRAOP_THREADS"


class Part(Executor):
    """Needs the extra `ray` here, and this package with its data on each machine."""

    main = "address"
    address: str = option(
        "",
        "Of a running cluster, HOST:PORT or auto, to which this machine belongs. Without it, "
        "$RAY_ADDRESS, or a cluster that runs here, or else Ray is started on this machine.",
    )
    cpus: float | None = option(
        None, "Cores of each task; as many as it has threads if not given.", gt=0
    )
    gpus: float | None = option(
        None, "GPUs of each task; 1 for what trains, where the cluster has any.", ge=0
    )
    send: bool = option(False, "Send results back even if the machines share the storage.")

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """See `Executor.run`."""
        yield from carry_out(tasks, _Crew(self._connected(), self))

    def spread(self, work, items, limits=None, *, workers=None, folder=None, reads=()):
        """See `Executor.spread`."""
        ray, marks = self._connected(), Marks()
        cores_each = max(1, int(self.cpus or 1))
        if folder and not self.send:
            marks.put([Folder(folder)])
        how = (limits, cores_each, folder, reads, marks.name)

        def call(chunk):
            return started(ray, do_items, self.cpus or 1, 0).remote(work, chunk, *how)

        try:
            yield from _Chunks(ray, call, list(items), _room(ray, cores_each)).done()
        finally:
            marks.remove()

    def cores_each(self) -> int:
        """See `Executor.cores_each`."""
        return max(1, int(self.cpus_for(self._connected(), cores())))

    def room(self) -> int:
        """See `Executor.room`."""
        ray = self._connected()
        return _room(ray, self.cpus_for(ray, cores()))

    def cpus_for(self, ray: Any, threads: int) -> float:
        """Cores to be reserved for a task with so many threads.

        Raises:
            UserError: no machine has as many.
        """
        sizes = [size for size, _ in _machines(ray)]
        if not self.cpus:
            return min(threads, *sizes)
        if self.cpus > max(sizes):
            raise UserError(
                f"--cpus-per-task {self.cpus:g} is more than any machine of the cluster has: "
                f"{max(sizes):g}. Lower it."
            )
        return self.cpus

    def gpus_for(self, ray: Any, task: Task) -> float:
        """GPUs to be reserved for a task, for which Ray would otherwise wait for ever.

        Raises:
            UserError: no machine has as many, or none with as many cores.
        """
        machines = _machines(ray)
        most = max(gpus for _, gpus in machines)
        wanted = self.gpus
        if wanted is None:
            wanted = 1 if task.trains and most else 0
        if wanted > most:
            raise UserError(
                f"--gpus-per-task {wanted:g} is more than any machine of the cluster has: "
                f"{most:g}. Lower it."
            )
        if self.cpus and not any(cpus >= self.cpus and gpus >= wanted for cpus, gpus in machines):
            raise UserError(
                f"--cpus-per-task {self.cpus:g} is more than any machine of the cluster has that "
                f"has {wanted:g} GPUs. Lower it, or give --gpus-per-task 0."
            )
        return wanted

    def _connected(self) -> Any:
        """Ray, which stays connected until this process ends."""
        address = self.address or os.environ.get("RAY_ADDRESS", "")
        if "://" in address:
            raise UserError(
                "--executor ray=HOST:PORT is given on a machine of the cluster (`ray start "
                f"--address=HOST:PORT` makes it one). Received: {address}."
            )
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anyone
        try:
            import ray
        except ModuleNotFoundError as error:
            raise UserError(
                f"--executor ray needs Ray, which isn't installed ({error}). Install it: "
                "pip install 'cxrkeras[ray]'"
            ) from None
        if not ray.is_initialized():
            _connect(ray, address)
        return ray


def _connect(ray: Any, address: str) -> None:
    try:
        ray.init(address=address or None, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        line = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"--executor ray={address} can't be reached: {line} Start a cluster (`ray start "
            "--head`), or leave the address out."
        ) from error


def _machines(ray: Any) -> list[tuple[float, float]]:
    """(cores, GPUs) of each machine that has any cores."""
    resources = (node["Resources"] for node in ray.nodes() if node["Alive"])
    found = [(has.get("CPU", 0), has.get("GPU", 0)) for has in resources if has.get("CPU")]
    if not found:
        raise UserError("--executor ray: no machine of the cluster has a core. Add one.")
    return found


def _room(ray: Any, cpus: float) -> int:
    return max(1, sum(int(cores // cpus) for cores, _ in _machines(ray)))


class _Crew:
    """A `Crew` on a cluster, where tasks wait for room."""

    def __init__(self, ray: Any, part: Part):
        self._ray, self._part = ray, part
        self._marks = Marks()
        self._going: list[tuple[Task, Any]] = []

    def has_room(self) -> bool:
        """See `Crew`."""
        return True

    def start(self, task: Task) -> None:
        """See `Crew`."""
        if not self._part.send:
            self._marks.put(folders_of(task))
        self._begin(task, archives(folders_of(task)) if self._part.send else None)

    def heard(self) -> tuple[Task, Said | Ended]:
        """See `Crew`."""
        while True:
            by_results = {results: task for task, results in self._going}
            ready, _ = self._ray.wait(list(by_results), num_returns=1, timeout=PATIENCE)
            for results in ready:
                task, said = by_results[results], following(self._ray, results)
                if isinstance(said, Said):
                    return task, said
                self._going.remove((task, results))
                if isinstance(said, Ended):
                    return task, said
                if isinstance(said, Lacking):
                    self._begin(task, archives(folders_of(task)))
                    continue
                keep(said.files)
                return task, said.said

    def stop(self) -> None:
        """See `Crew`."""
        stop(self._ray, [results for _, results in self._going])
        self._marks.remove()

    def _begin(self, task: Task, sent: dict | None) -> None:
        threads = task.environment.get(THREADS)
        cpus = self._part.cpus_for(self._ray, int(threads) if threads else cores())
        work = started(self._ray, do_task, cpus, self._part.gpus_for(self._ray, task))
        content = None if sent is None else self._ray.put(sent)
        self._going.append((task, work.remote(task, self._marks.name, content)))


class _Chunks:
    """Many items, some per call; what a lost machine left is given to another."""

    def __init__(self, ray: Any, call: Callable, items: list, room: int):
        self._ray, self._call, self._items, self._room = ray, call, items, room
        size = max(_FEWEST, min(_MOST, len(items) // (_SHARES * room)))
        numbers = range(0, len(items), size)
        self._waiting = deque(list(enumerate(items[n : n + size], n)) for n in numbers)
        self._going: dict[Any, dict[int, object]] = {}
        self._lost: dict[int, int] = {}
        self._failed: dict[int, str] = {}

    def done(self) -> Iterator[tuple]:
        """(item, outcome), as they are done.

        Raises:
            UserError: at the end, where some were lost twice; or at once, where what is read isn't
                there.
        """
        try:
            while self._waiting or self._going:
                while self._waiting and len(self._going) < 2 * self._room:
                    chunk = self._waiting.popleft()
                    self._going[self._call(chunk)] = dict(chunk)
                ready, _ = self._ray.wait(list(self._going), num_returns=1, timeout=PATIENCE)
                for results in ready:
                    yield from self._take(results)
        finally:
            stop(self._ray, list(self._going))
        if self._failed:
            raise UserError(
                f"{len(self._failed)} files were lost twice with a machine or process of the "
                f"cluster: {next(iter(self._failed.values()))} The others are done; the same "
                "command tries these again."
            )

    def _take(self, results: Any) -> Iterator[tuple]:
        left = self._going[results]
        said = following(self._ray, results)
        if isinstance(said, Ended):
            self._give_again(self._going.pop(results), said)
        elif isinstance(said.said, Item):
            keep(said.files)
            yield left.pop(said.said.number), said.said.outcome
            if not left:
                del self._going[results]
        elif isinstance(said.said, Raised):
            raise said.said.error
        else:
            raise UserError(said.said.reason)

    def _give_again(self, left: dict[int, object], said: Ended) -> None:
        for number in left:
            self._lost[number] = self._lost.get(number, 0) + 1
        again = {number: item for number, item in left.items() if self._lost[number] < _TRIES}
        self._failed |= {number: said.reason for number in left if number not in again}
        if again:
            self._waiting.append(list(again.items()))
