"""Tasks in processes on this machine."""

import os
import queue
import subprocess
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from data_prep.dataset.pool import cores, spread
from data_prep.executors import Folder, Task
from data_prep.executors.shared.child import Child, Ended, Said
from data_prep.films.admission import Limits


class Processes:
    """A `Crew` of processes here.

    Args:
        count: how many at once.
        gpus: of each; None shows each process all.
        gathered: whether lines are gathered; otherwise they go where this process's go.
    """

    def __init__(self, count: int, gpus: int | None = None, *, gathered: bool = True):
        self._count, self._gathered = count, gathered
        self._children: dict[str, Child] = {}
        self._heard: queue.Queue = queue.Queue()
        devices = _devices() if gpus else []
        self._gpus: list[str] | None = None
        if gpus:
            shares = [devices[n : n + gpus] for n in range(0, len(devices) - gpus + 1, gpus)]
            self._gpus = [",".join(share) for share in shares]
            self._count = min(count, len(shares))
        self._held: dict[str, str] = {}

    @property
    def count(self) -> int:
        """How many work at once."""
        return self._count

    def has_room(self) -> bool:
        """See `Crew`."""
        return len(self._children) < self._count

    def start(self, task: Task) -> None:
        """See `Crew`."""
        variables = {name: str(_path(value)) for name, value in task.environment.items()}
        if self._gpus is not None:
            self._held[task.name] = self._gpus.pop()
            variables["CUDA_VISIBLE_DEVICES"] = self._held[task.name]

        def tell(said: Said | Ended) -> None:
            self._heard.put((task, said))

        arguments = tuple(map(_path, task.arguments))
        self._children[task.name] = Child(
            task.call, arguments, variables, tell, gathered=self._gathered
        )

    def heard(self) -> tuple[Task, Said | Ended]:
        """See `Crew`."""
        task, said = self._heard.get()
        if isinstance(said, Ended):
            self._children.pop(task.name).end()
            if task.name in self._held:
                self._gpus.append(self._held.pop(task.name))
        return task, said

    def stop(self) -> None:
        """See `Crew`."""
        for child in self._children.values():
            child.end()
        self._children.clear()


def spread_here(
    work: Callable,
    items: Iterable,
    limits: Limits | None,
    workers: int | None,
    folder: Path | None,
) -> Iterator[tuple]:
    """See `Executor.spread`, with these workers."""
    work = work if folder is None else partial(work, folder=folder)
    yield from spread(work, items, cores() if workers is None else workers, limits)


def _path(value: object) -> object:
    return value.path if isinstance(value, Folder) else value


def _devices() -> list[str]:
    """The GPUs that this process may use."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is not None:
        return [device for device in shown.split(",") if device]
    try:
        told = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [str(number) for number, _ in enumerate(told.stdout.splitlines())]
