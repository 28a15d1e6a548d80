"""The tasks of a call, handed out and taken back: what every executor does alike."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from data_prep.executors import Outcome, Task
from data_prep.executors.shared.child import Ended, Said
from data_prep.say import say

_TRIES = 2


class Crew(Protocol):
    """Those who do the work."""

    def has_room(self) -> bool:
        """Whether another task may be started."""

    def start(self, task: Task) -> None:
        """Start one."""

    def heard(self) -> tuple[Task, Said | Ended]:
        """Wait until one says something."""

    def stop(self) -> None:
        """End what still goes on."""


def carry_out(tasks: Sequence[Task], crew: Crew) -> Iterator[Outcome]:
    """See `Executor.run`."""
    waiting, running = list(tasks), {}
    tries: Counter[str] = Counter()
    made: set = set()
    try:
        while waiting or running:
            while crew.has_room() and (task := _next(waiting, running.values(), made)):
                waiting.remove(task)
                running[task.name] = task
                tries[task.name] += 1
                crew.start(task)
            task, said = crew.heard()
            if isinstance(said, Said):
                say(prefixed(task, said.line))
                continue
            del running[task.name]
            if said.again and tries[task.name] < _TRIES:
                say(prefixed(task, f"{said.reason} It is done again."))
                waiting.insert(0, task)
                continue
            if not said.reason:
                made |= task.makes
            yield Outcome(task, said.value, said.reason, said.seconds, said.again)
    finally:
        crew.stop()


def _next(waiting: list[Task], running, made: set) -> Task | None:
    """The first task for which no other makes something just now."""
    making = set().union(*(task.makes for task in running)) - made
    return next((task for task in waiting if not task.makes & making), None)


def prefixed(task: Task, line: str) -> str:
    """A line with the name of its task before it, unless it begins with that."""
    return line if line.startswith(task.name) else f"{task.name} | {line}"
