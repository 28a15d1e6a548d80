"""Executors: where folds, cells and files are worked on. Here is what one must be.

A part is another machine, or another way to share one out. What is worked on, and with which
result, it doesn't decide: tasks don't depend on each other, each is a function with its arguments,
and callers put outcomes together by the tasks' names.
"""

from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from data_prep.films.admission import Limits
from data_prep.registry import Part


@dataclass(frozen=True)
class Folder:
    """A folder that a task reads and writes: an argument, or the value of a variable.

    The task gets its path. On a machine that doesn't see it, that is a folder with copies of what
    is needed of it, and whatever the task writes there is brought back.

    Attributes:
        path: on this machine.
        needs: patterns, within it, of the files that the task reads.
        stays: names of folders in it that aren't brought back: too large, and soon made again.
    """

    path: Path
    needs: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """A function to be called in a process of its own.

    Attributes:
        name: unique among the tasks of a call; stands before each line that the task says.
        call: `package.module:function`.
        arguments: picklable, or `Folder`.
        reads: files and folders that must be there under these paths, on whatever machine.
        makes: keys of what the first task that has them makes for others, such as a stage in a
            cache: the others wait until it is done.
        environment: variables of the process.
        trains: whether it is worth a GPU.
    """

    name: str
    call: str
    arguments: tuple = ()
    reads: tuple[Path, ...] = ()
    makes: frozenset[Hashable] = frozenset()
    environment: Mapping[str, "str | Folder"] = field(default_factory=dict)
    trains: bool = True


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        task: the task.
        value: what its function returned.
        reason: why it failed, in one line; "" if it didn't.
        seconds: how long its last try took.
        crashed: whether it failed for no reason that is the user's to mend.
    """

    task: Task
    value: Any = None
    reason: str = ""
    seconds: float = 0.0
    crashed: bool = False


class Executor(Part):
    """Where tasks are worked on.

    Attributes:
        spreads: whether more than one is worked on at once. If not, callers do at once, in their
            own process, what needs none of its own.
    """

    spreads: ClassVar[bool] = True

    @abstractmethod
    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Call each task's function in a new process.

        A task whose process dies, or that raises something unforeseen, is done again, once. One
        that fails doesn't keep the others from being done. Nothing goes on when the iterator is
        closed, the caller is stopped from the keyboard, or dies.

        Yields:
            Each task's outcome, as they are done.

        Raises:
            UserError: nothing can be started.
        """
        raise NotImplementedError

    @abstractmethod
    def spread(
        self,
        work: Callable,
        items: Iterable,
        limits: Limits | None = None,
        *,
        workers: int | None = None,
        folder: Path | None = None,
        reads: tuple[Path, ...] = (),
    ) -> Iterator[tuple]:
        """Apply a function to many items, as `data_prep.dataset.pool.spread` does.

        Args:
            work: a picklable function.
            items: what to apply it to.
            limits: of each item.
            workers: processes on this machine, where the executor leaves that open.
            folder: where the function writes, each file in one step, since a half-written one may
                be taken for whole; it gets the path as `folder`.
            reads: files and folders that must be there under these paths, on whatever machine.

        Yields:
            (item, outcome), as they are done.
        """
        raise NotImplementedError

    @abstractmethod
    def cores_each(self) -> int:
        """How many processes a task may decode files in."""
        raise NotImplementedError

    @abstractmethod
    def room(self) -> int:
        """How many tasks can be worked on at once, by which callers may divide their work."""
        raise NotImplementedError
