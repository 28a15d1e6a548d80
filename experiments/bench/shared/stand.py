"""Where a measurement stands: its scratch folder, the real files, processes, and taking turns."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PEERS = ROOT / "experiments" / "bench" / "peers"
DATA = "CXRKERAS_REAL_DATA"


class Missing(Exception):
    """Something that a measurement needs isn't here; the text says what, and how to get it."""


@dataclass(frozen=True)
class Run:
    """A process that ended well.

    Args:
        seconds: wall time from its start to its end, imports and all.
        cpu_seconds: of it and its children.
        peak_mb: the largest resident memory of a single process among them, in MB.
        answer: its last line of output read as JSON; None where it is none.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    answer: Any


@dataclass(frozen=True)
class Stand:
    """What a measurement gets.

    Args:
        scratch: an empty folder, removed afterwards.
        repeats: how often each side is measured.
        device: `cpu` or `gpu`.
        small: whether this is the smoke run, without real files.
        peer_python: the interpreter of the peers' environment, where the measurement needs it.
    """

    scratch: Path
    repeats: int = 5
    device: str = "cpu"
    small: bool = False
    peer_python: Path | None = None

    def real(self, place: str = ".") -> Path:
        """A file or folder of the real data.

        Raises:
            Missing: there is no such thing.
        """
        path = Path(os.environ.get(DATA) or ROOT.parent / "shared" / "data", place)
        if self.small or not path.exists():
            raise Missing(f"needs {place} of the real files; set {DATA} to their folder")
        return path

    def in_turn(self, **sides: Callable[[], float | None]) -> dict[str, list[float]]:
        """Measure all sides `repeats` times, one after the other, in alternating order.

        Args:
            **sides: each does the work once and returns its figure; None for its wall time.

        Returns:
            {side: a figure of each repeat}.
        """
        found: dict[str, list[float]] = {name: [] for name in sides}
        for repeat in range(self.repeats):
            for name in list(sides)[:: -1 if repeat % 2 else 1]:
                start = time.perf_counter()
                told = sides[name]()
                found[name].append(time.perf_counter() - start if told is None else told)
        return found

    def run(self, *words: str | Path, peer: bool = False, env: dict | None = None) -> Run:
        """Run Python on `words` (a file or `-m module`, arguments) to its end.

        Args:
            words: what follows `python`; paths are relative to the repository.
            peer: in the peers' environment.
            env: further variables.
        """
        start = time.perf_counter()
        process = self._start(words, peer, env, stdin=subprocess.DEVNULL)
        lines = process.stdout.read().splitlines()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        if process.returncode:
            raise RuntimeError(f"{' '.join(map(str, words))[:200]} ended with {process.returncode}")
        answer = _read(lines[-1]) if lines else None
        return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, answer)

    @contextmanager
    def worker(
        self, *words: str | Path, peer: bool = False, env: dict | None = None
    ) -> Iterator[Callable[[], Any]]:
        """A process that prepares itself once, then measures each time it is asked.

        Its program calls `answers(measure)` of `peers/answers.py`. What is yielded, once it is
        ready, asks it once and returns what `measure()` returned.
        """
        process = self._start(words, peer, env, stdin=subprocess.PIPE)

        def ask() -> Any:
            process.stdin.write("go\n")
            process.stdin.flush()
            return told()

        def told() -> Any:
            for line in process.stdout:
                if line.startswith("= "):
                    return json.loads(line[2:])
            raise RuntimeError(f"{' '.join(map(str, words))[:200]} ended with {process.wait()}")

        try:
            told()  # or its preparation would slow down whose turn it is
            yield ask
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait()

    def _start(self, words, peer: bool, env: dict | None, stdin) -> subprocess.Popen:
        interpreter = self.peer_python if peer else sys.executable
        return subprocess.Popen(
            [str(interpreter), *map(str, words)],
            cwd=ROOT,
            env=environment(self.device, peer) | (env or {}),
            stdin=stdin,
            stdout=subprocess.PIPE,
            text=True,
        )


def per_second(count: int, work: Callable[[], object]) -> Callable[[], float]:
    """A side for `Stand.in_turn`: how many things per second `work`, which does `count`, does."""

    def rate() -> float:
        start = time.perf_counter()
        work()
        return count / (time.perf_counter() - start)

    return rate


def environment(device: str, peer: bool = False) -> dict[str, str]:
    """The variables of a measured process: all cores, quiet, on the device."""
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    env |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    env["PYTHONPATH"] = str(PEERS) if peer else os.pathsep.join([str(ROOT), str(PEERS)])
    if device == "gpu":
        env["KERAS_BACKEND"] = "jax"
    else:
        env["CUDA_VISIBLE_DEVICES"] = ""
    return env


def _read(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
