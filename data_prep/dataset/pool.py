"""Work spread over processes that may die: a decoder's segfault costs a file, not the run.

Each process does one item after the other, so the item that it died of is known; the next one waits
in its pipe, so that it needn't wait. On systems that can (Linux), it has limits of memory and
processor time, anew for each item.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from types import ModuleType
from typing import TypeVar

from data_prep.dataset.process import LIMITED, READY, Died, outcome_of, unless_raised, work_on
from data_prep.errors import UserError
from data_prep.films.admission import Limits

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
_TRIES = 2  # of an item whose process died: it may have been others who took the memory
_WAITS = 10 if LIMITED else 1  # times its processor time, by the wall's clock: for what only waits
_AHEAD = 2  # items that a process is given: one to do and one to go on with
_READING = ["data_prep.films.square"]  # what workers do: imported once, for all of them
_GRACE = 2.0  # seconds to end an item in, where nobody waits for it any more


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    work: Callable[[Item], Outcome],
    items: Iterable[Item],
    workers: int,
    limits: Limits | None = None,
) -> Iterator[tuple[Item, Outcome | Died]]:
    """Apply `work` to the items in several processes.

    Args:
        work: a picklable function, of a module that can be imported rather than of a script.
        items: what to apply it to; consumed as the work proceeds, so that memory stays flat. Each
            is small, a path rather than a file's content: the next one waits in a pipe.
        workers: processes; 0 works in this one, which has no limits.
        limits: of each item.

    Yields:
        (item, outcome), as they are done; the outcome is `Died` where the process didn't survive
        it, or it exceeded a limit.

    Raises:
        UserError: no process can be started.
        Exception: whatever `work` raises.
    """
    if workers == 0:
        yield from ((item, unless_raised(*outcome_of(work, item, None))) for item in items)
        return
    items, again = iter(items), deque()
    crew = [Worker(limits) for _ in range(workers)]
    try:
        while True:
            for most in range(1, _AHEAD + 1):  # all get the first before one gets a second
                for worker in crew:
                    if len(worker.tasks) < most and (task := _following(again, items)):
                        worker.give(work, task)
            if not any(worker.tasks for worker in crew):
                return
            for worker in _stirring(crew):
                task, outcome = worker.take()
                if worker.ended:
                    again.extend(worker.tasks)
                    _replace(worker, crew)
                if isinstance(outcome, Died) and outcome.crashed and task.tries < _TRIES:
                    again.append(task)
                elif task:
                    yield task.item, outcome
    finally:
        for worker in crew:
            worker.connection.close()  # none begins another item while others are waited for
        last = time.monotonic() + _GRACE
        for worker in crew:
            worker.end(last - time.monotonic())


@cache
def _context() -> BaseContext:
    """How processes are started: never forked from this one, which may hold threads and locks.

    A server that has imported what films take forks them, where the system can.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_READING)
    with _safe_path():
        forkserver.ensure_running()
    return context


@contextmanager
def _safe_path() -> Iterator[None]:
    """Python that is started meanwhile imports nothing from the working folder."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


@contextmanager
def _without_main() -> Iterator[None]:
    """Processes that are started meanwhile don't run the user's script again, guarded or not: they
    need nothing of it.
    """
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@dataclass
class _Task:
    item: object
    tries: int = 0  # that ended a process


def _following(again: deque[_Task], items: Iterator) -> _Task | None:
    """The next task: first those that another process left."""
    return again.popleft() if again else next(map(_Task, items), None)


def _stirring(crew: list["Worker"]) -> list["Worker"]:
    """The processes that have something to say, or have had their time."""
    busy = [worker for worker in crew if worker.tasks]
    ends = [worker.patience for worker in busy]
    said = wait([worker.connection for worker in busy], None if None in ends else min(ends))
    return [worker for worker in busy if worker.connection in said or worker.late]


def _replace(worker: "Worker", crew: list["Worker"]) -> None:
    """Put another process in the place of one that ended; one that never ran is given up."""
    crew.remove(worker)
    if worker.started:
        crew.append(Worker(worker.limits))
    elif not crew:
        raise _unable()


def _unable() -> UserError:
    return UserError(
        "Worker processes can't be started: memory is short. Close other programs, or do without "
        "them (--workers 0)."
    )


class Worker:
    """A process that does one thing after the other, within limits, and may die of each.

    Attributes:
        connection: readable when it has something to say.
        tasks: what it was given to do, in order.
        started: whether it ever ran.
        ended: whether it is gone.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        context = _context()
        self.limits = limits
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=work_on, args=(theirs, limits), daemon=True)
        self.tasks: deque[_Task] = deque()
        self.started = self.ended = False
        self._since = time.monotonic()
        try:
            with _without_main():
                self._process.start()
        except (OSError, RuntimeError, EOFError) as error:
            raise _unable() from error
        finally:
            theirs.close()

    def give(self, work: Callable, task: _Task) -> None:
        """Hand it something to do after what it has to do."""
        if not self.tasks:
            self._since = time.monotonic()
        self.tasks.append(task)
        with suppress(OSError):  # it is gone, which `take` tells
            self.connection.send((work, task.item))

    def take(self) -> tuple[_Task | None, object]:
        """What it says: (task, outcome), or (None, None) where it has no more to say than
        that it runs.

        Raises:
            Exception: whatever the work raised.
        """
        if not self.connection.poll():
            return self._dead(self.limits.too_slow) if self.late else (None, None)
        try:
            told = self.connection.recv()
        except (EOFError, OSError):
            return self._dead(None)
        if told == READY:
            self.started, self._since = True, time.monotonic()
            return None, None
        self._since = time.monotonic()
        return self.tasks.popleft(), unless_raised(*told)

    def do(self, work: Callable[[Item], Outcome], item: Item) -> Outcome | Died:
        """Do one thing, alone, and wait for it.

        Raises:
            UserError: the process can't be started.
            Exception: whatever `work` raises.
        """
        self.give(work, _Task(item))
        while True:
            wait([self.connection], self.patience)
            task, outcome = self.take()
            if task and not self.started:
                raise _unable()
            if task:
                return outcome

    @property
    def patience(self) -> float | None:
        """Seconds until it will be `late`; None without limits."""
        if self.limits is None or not self.started:
            return None
        return max(0.0, self._since + _WAITS * self.limits.seconds - time.monotonic())

    @property
    def late(self) -> bool:
        """Whether it has had its time."""
        return self.patience == 0.0

    def _dead(self, reason: str | None) -> tuple[_Task | None, Died | None]:
        if reason:
            self._process.kill()
        self.end()
        task = self.tasks.popleft()
        if self._process.exitcode == -getattr(signal, "SIGXCPU", 0):
            reason = self.limits.too_slow
        task.tries += self.started
        return task, Died(reason) if reason else Died()

    def end(self, grace: float = _GRACE) -> None:
        """Let it end what it does, if that is within so many seconds."""
        self.ended = True
        self.connection.close()
        self._process.join(max(0.0, grace))
        self._process.kill()
        self._process.join()
