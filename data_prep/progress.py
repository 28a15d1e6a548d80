"""How far a long job is: a bar on a terminal, a line per tenth elsewhere."""

import sys
from contextlib import ExitStack

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Steps:
    """Counts the steps of a job on standard error, as a context."""

    def __init__(self, title: str, total: int, *, done: int = 0, shown: bool = True) -> None:
        self.title, self.total, self.done = title, total, done
        self._shown = shown and total > done
        self._tenth = self._tenths()
        self._stack = ExitStack()
        self._bar: Progress | None = None

    def __enter__(self) -> "Steps":
        if self._shown and sys.stderr.isatty():
            layout = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            bar = Progress(*layout, TimeRemainingColumn(), console=Console(stderr=True))
            self._bar = self._stack.enter_context(bar)
            self._task = bar.add_task(self.title, total=self.total, completed=self.done)
        elif self._shown:
            self._say()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)

    def step(self) -> None:
        """One more is done."""
        self.done += 1
        if self._bar:
            self._bar.advance(self._task)
        elif self._shown and self._tenths() > self._tenth:
            self._tenth = self._tenths()
            self._say()

    def _tenths(self) -> int:
        return 10 * self.done // max(1, self.total)

    def _say(self) -> None:
        print(f"{self.title}: {self.done} of {self.total}", file=sys.stderr, flush=True)
