"""What a command tells the person who runs it: on standard error, and in logs that are kept."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from data_prep.verbosity import DETAILED, QUIET, verbosity

_WARNING = "Warning:"
_TASK = " | "  # after the name of a task, whose line then follows

console = Console(stderr=True, highlight=False)


def say(text: str, *, always: bool = False) -> None:
    """One line, as it is.

    Args:
        text: one that begins with `Warning:` is said even where little is wanted.
        always: so is this one.
    """
    note(text)
    if always or verbosity() != QUIET or text.rpartition(_TASK)[2].startswith(_WARNING):
        _print(text)


def detail(text: str) -> None:
    """One line for those who want more; logs have it in any case."""
    note(text)
    if verbosity() == DETAILED:
        _print(text)


def note(text: str) -> None:
    """One line for the logs alone."""
    for log in _logs:
        log.add(text)


class Log:
    """A file to which lines are appended, each after its moment (UTC).

    It keeps them to itself until it is opened, since its folder may not be there yet, or be
    somebody else's.

    Args:
        path: the file.
    """

    def __init__(self, path: Path):
        self._path, self._open = path, False
        self._waiting: list[str] = []

    def add(self, text: str) -> None:
        """Append a line. A disk that takes none stops nothing."""
        self._waiting.append(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n")
        if not self._open:
            return
        lines, self._waiting = self._waiting, []
        with suppress(OSError), self._path.open("a", encoding="utf-8", errors="replace") as file:
            file.writelines(lines)

    def open(self) -> None:
        """Begin to write."""
        self._open = True


_logs: list[Log] = []


@contextmanager
def logged(path: Path) -> Iterator[Log]:
    """Whatever is said within goes to a log too, once it is opened; so does why it ended early."""
    log = Log(path)
    _logs.append(log)
    try:
        yield log
    except BaseException as error:
        # A message of ours has no patient data; of another, only the kind is known to have none.
        ours = type(error).__module__ == "data_prep.errors"
        log.add(f"Stopped: {error}" if ours else f"Stopped: {type(error).__name__}")
        raise
    finally:
        _logs.remove(log)


def _print(text: str) -> None:
    console.print(text, soft_wrap=True, markup=False, emoji=False)
