"""Progress of a long job: a bar on a terminal, elsewhere lines, per tenth and per minute."""

import time

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from data_prep.say import console, note, say
from data_prep.verbosity import QUIET, verbosity

_WORTH = 60  # seconds; a shorter rest needs no forecast
_SILENT = 60  # seconds; nobody is left without a word for longer
_UNITS = (("s", 1), ("min", 60), ("h", 3600))


class Steps:
    """Counts the steps of a job on standard error, as a context or from `start` to `close`.

    Args:
        title: what the job does.
        total: the number of its steps.
        done: steps of an earlier start.
        shown: False prints nothing.
        transient: leave nothing behind: the bar vanishes, and elsewhere there are only the lines
            of each minute.
    """

    def __init__(
        self,
        title: str,
        total: int,
        *,
        done: int = 0,
        shown: bool = True,
        transient: bool = False,
    ) -> None:
        self.title, self.total, self.done = title, total, done
        self._shown = shown and total > done
        self._transient = transient
        self._tenth = self._tenths()
        self._begun, self._began = done, time.monotonic()
        self._told = self._began
        self._bar: Progress | None = None

    def __enter__(self) -> "Steps":
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.close()

    def start(self) -> "Steps":
        """Show the job's progress."""
        if self._shown and console.is_terminal and verbosity() != QUIET:
            layout = (TextColumn("{task.description}", markup=False), BarColumn())
            columns = (*layout, MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=console, transient=self._transient)
            self._task = self._bar.add_task(self.title, total=self.total, completed=self.done)
            self._bar.start()
        if not self._transient:
            self._say()
        return self

    def step(self) -> None:
        """Count one more step."""
        self.done += 1
        if self._bar:
            self._bar.advance(self._task)
        tenth = self._tenths() > self._tenth and not self._transient
        if tenth or time.monotonic() - self._told >= _SILENT:
            self._say()

    def close(self) -> None:
        """Give the terminal its cursor back; calling it again does nothing."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _tenths(self) -> int:
        return 10 * self.done // max(1, self.total)

    def _say(self) -> None:
        """A line; beside a bar only for the logs."""
        self._tenth, self._told = self._tenths(), time.monotonic()
        if self._shown:
            tell = note if self._bar else say
            tell(f"{self.title}: {self.done:,} of {self.total:,}{self._left()}")

    def _left(self) -> str:
        """The rate so far, and the time that the rest takes at it, where it is worth telling."""
        done = self.done - self._begun
        pace = (self._told - self._began) / max(1, done)
        seconds = pace * (self.total - self.done)
        worth = done and seconds >= _WORTH
        return f", {rate(pace)}, about {duration(seconds)} left" if worth else ""


def rate(seconds: float) -> str:
    """How often what takes so many seconds is done: `3.4 per s`, `12 per min`, `5 per h`."""
    unit, length = next((pair for pair in _UNITS if pair[1] >= seconds), _UNITS[-1])
    often = length / max(seconds, 1e-9)
    return f"{often:,.0f} per {unit}" if often >= 10 else f"{often:.1f} per {unit}"


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`: for a person to plan by."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
