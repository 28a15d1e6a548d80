"""Worker processes in which a mutant may crash, hang or eat memory: it is noted, and work goes on.

A mutant is known by its number and the seed alone, so that one that failed can be made again.
"""

import contextlib
import importlib
import multiprocessing
import os
import resource
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path

SECONDS = 60
MEMORY = 2 * 2**30  # bytes that one mutant may take
BAD = ("crash", "hang", "memory", "non-finite", "unforeseen")
_MUTATION = "mutation.txt"
_SLACK = 2**28  # of the process itself, in the measurement of its peak


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        number: of the mutant.
        kind: `accepted`, `refused`, or one of `BAD`.
        detail: the reason, or what failed and where.
        mutation: what was done to it.
        seconds: that it took.
        peak: bytes of memory that it took.
    """

    number: int
    kind: str
    detail: str = ""
    mutation: str = ""
    seconds: float = 0.0
    peak: int = 0


@dataclass
class Tally:
    """The outcomes of one sort of mutants."""

    sort: str
    seed: int
    seconds: float = 0.0
    counts: Counter = field(default_factory=Counter)
    bad: list[Outcome] = field(default_factory=list)
    refusals: Counter = field(default_factory=Counter)
    peak: int = 0
    slowest: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        self.counts[outcome.kind] += 1
        self.peak = max(self.peak, outcome.peak)
        self.slowest = max(self.slowest, outcome.seconds)
        if outcome.kind in BAD:
            self.bad.append(outcome)
        if outcome.kind == "refused":
            self.refusals[outcome.detail] += 1

    def lines(self) -> Iterator[str]:
        """For a person."""
        done = sum(self.counts.values())
        kinds = ", ".join(f"{self.counts[kind]:,} {kind}" for kind in ("accepted", "refused", *BAD))
        stopped = sum(n for reason, n in self.refusals.items() if "MemoryError" in reason)
        yield f"{self.sort}, seed {self.seed}: {done:,} mutants: {kinds}"
        if stopped:
            yield f"  {stopped:,} of the refused asked for more than 2 GB, and were stopped here"
        yield (
            f"  {self.seconds:.0f} s, {1000 * self.seconds / max(done, 1):.0f} s per 1,000; the "
            f"slowest took {self.slowest:.1f} s, the largest {self.peak / 1e6:,.0f} MB"
        )
        for outcome in sorted(self.bad, key=lambda outcome: outcome.number):
            yield f"  {outcome.kind} {self.sort}:{outcome.number} ({outcome.mutation})"
            yield f"    {outcome.detail}"


def tally(
    sort: str,
    numbers: Iterable[int],
    seed: int,
    folder: Path,
    workers: int,
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> Tally:
    """Run mutants and count what becomes of them.

    Args:
        sort: a module beside this one, `SORT.py`, with a class `Mutants`.
        numbers: of the mutants.
        seed: of all of them.
        folder: to work in.
        workers: processes.
        tell: is called with each outcome as it comes.
    """
    found, begun = Tally(sort, seed), time.monotonic()
    for outcome in _outcomes(sort, iter(numbers), seed, folder, workers):
        found.add(outcome)
        tell(outcome)
    found.seconds = time.monotonic() - begun
    found.bad.sort(key=lambda outcome: outcome.number)
    return found


def _outcomes(
    sort: str, numbers: Iterator[int], seed: int, folder: Path, workers: int
) -> Iterator[Outcome]:
    crew = [_Worker(sort, seed, folder / f"worker{place}") for place in range(workers)]
    try:
        busy = [worker for worker in crew if worker.give(next(numbers, None))]
        while busy:
            ready = wait([worker.pipe for worker in busy], timeout=1)
            for worker in busy:
                if worker.pipe in ready or worker.late:
                    yield worker.take()
                    worker.give(next(numbers, None))
            busy = [worker for worker in busy if worker.number is not None]
    finally:
        for worker in crew:
            worker.end()


class _Worker:
    def __init__(self, sort: str, seed: int, folder: Path):
        self._made_of = sort, seed, folder
        self.number: int | None = None
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, *self._made_of), daemon=True)
        self._process.start()
        theirs.close()
        self.pipe.recv()  # it is ready

    def give(self, number: int | None) -> bool:
        self.number, self._since = number, time.monotonic()
        if number is not None:
            self.pipe.send(number)
        return number is not None

    @property
    def late(self) -> bool:
        return time.monotonic() - self._since > SECONDS

    def take(self) -> Outcome:
        if self.pipe.poll():
            with contextlib.suppress(EOFError, OSError):
                return self.pipe.recv()
        hangs = self._process.is_alive() and self.late
        self.end()
        code = self._process.exitcode or 0
        name = signal.Signals(-code).name if code < 0 else f"exit {code}"
        took = time.monotonic() - self._since
        self._start()
        kind, detail = ("hang", f"over {SECONDS} s") if hangs else ("crash", name)
        return Outcome(self.number, kind, detail, self._told(), took)

    def _told(self) -> str:
        """What the mutant was that the process died of."""
        try:
            return (self._made_of[2] / _MUTATION).read_text(encoding="utf-8")
        except OSError:
            return ""

    def end(self) -> None:
        self.pipe.close()
        self._process.join(0.5)
        self._process.kill()
        self._process.join()


def _work(pipe, sort: str, seed: int, folder: Path) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):  # C libraries say what they think of mutants
        os.dup2(nowhere, descriptor)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    mutants = importlib.import_module(f"tests.fuzz.{sort}").Mutants(seed, folder)
    pipe.send("ready")
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send(_outcome(mutants, pipe.recv(), folder))


def _outcome(mutants, number: int, folder: Path) -> Outcome:
    begun, before = time.monotonic(), _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    _bound(_memory("VmSize") + mutants.memory)
    mutation = ""
    try:
        mutation = mutants.make(number)
        (folder / _MUTATION).write_text(mutation, encoding="utf-8", errors="replace")
        kind, detail = mutants.read()
    except MemoryError:
        kind, detail = "refused", "MemoryError at the bound"
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        kind, detail = "unforeseen", f"{type(error).__name__} at {place}"
    finally:
        _bound(resource.RLIM_INFINITY)
    peak = max(_memory("VmHWM") - before, 0)
    if peak > getattr(mutants, "peak", MEMORY) + _SLACK:
        kind, detail = "memory", f"{peak / 1e6:,.0f} MB; {detail}"
    return Outcome(number, kind, detail, mutation, time.monotonic() - begun, peak)


def _bound(size: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size, most))


def _memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0
