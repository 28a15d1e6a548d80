"""A task in a process of its own: the call goes in, lines and an outcome come out.

The process ends when its parent does, for whatever reason: it watches a pipe that only the parent
holds open. What the task prints goes to standard error, line by line.
"""

import importlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_prep.errors import UserError

# It imports from where this process does: `-m` would look into the working folder first.
_START = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "import data_prep.executors.shared.child as child; child.main()"
)
_GRACE = 5.0  # seconds to end in, once nobody waits any more
_LENGTH = 8


@dataclass(frozen=True)
class Said:
    """A line of a task."""

    line: str


@dataclass(frozen=True)
class Ended:
    """The end of a task.

    Attributes:
        value: what its function returned.
        reason: why it failed, in one line; "" if it didn't.
        again: whether it is worth another try.
        seconds: how long it took; 0 if that isn't known.
    """

    value: Any = None
    reason: str = ""
    again: bool = False
    seconds: float = 0.0


class Child:
    """A process that calls one function.

    Args:
        call: `package.module:function`.
        arguments: picklable.
        environment: variables that are added to this process's.
        tell: called with `Said` and, at the end, `Ended`, from other threads.
        gathered: whether lines are told; otherwise they go where this process's go.
    """

    def __init__(
        self,
        call: str,
        arguments: tuple,
        environment: Mapping[str, str],
        tell: Callable[[Said | Ended], None],
        *,
        gathered: bool = True,
    ):
        request = pickle.dumps((call, arguments))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if gathered else None,
                env={**os.environ, **_MODEST, **environment},
            )
        except OSError as error:
            raise UserError(f"No process can be started: {error.strerror}.") from error
        with suppress(OSError):  # it is gone, which its end tells
            self._process.stdin.write(len(request).to_bytes(_LENGTH, "big") + request)
            self._process.stdin.flush()
        self._tell = tell
        self._lines = threading.Thread(target=self._follow, daemon=True) if gathered else None
        if self._lines:
            self._lines.start()
        threading.Thread(target=self._wait, daemon=True).start()

    def end(self) -> None:
        """End it now, whatever it does."""
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _follow(self) -> None:
        with self._process.stderr as lines:
            for line in lines:
                if text := line.decode("utf-8", "backslashreplace").rstrip():
                    self._tell(Said(text))

    def _wait(self) -> None:
        with self._process.stdout as answer:
            said = answer.read()
        code = self._process.wait()
        if self._lines:
            self._lines.join(_GRACE)  # not for ever: a grandchild may hold the pipe
        self._tell(_ended(said, code))
        with suppress(OSError):
            self._process.stdin.close()


_MODEST = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""Tasks may share a GPU, so none takes all of its memory."""


def run_in_child(
    call: str, arguments: tuple, environment: Mapping[str, str]
) -> "tuple[Child, queue.Queue[Said | Ended]]":
    """Start one whose lines and end go to a queue."""
    told: queue.Queue = queue.Queue()
    return Child(call, arguments, environment, told.put), told


def _ended(said: bytes, code: int) -> Ended:
    with suppress(Exception):  # no whole answer
        return pickle.loads(said)
    if code < 0:
        return Ended(
            reason=f"Its process was killed by {signal.Signals(-code).name}, as happens when the "
            "system runs out of memory. Lower batch-size or image-size, or free memory.",
            again=True,
        )
    return Ended(reason=f"Its process ended with {code}.", again=True)


def outcome_of(call: str, arguments: tuple) -> Ended:
    """Call a function; what it raises becomes a line."""
    try:
        module, _, name = call.partition(":")
        return Ended(getattr(importlib.import_module(module), name)(*arguments))
    except UserError as error:
        return Ended(reason=str(error))
    except Exception as error:
        # Its message may hold patient data: only the kind and the place are told.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        return Ended(reason=f"Unforeseen {type(error).__name__} at {place}.", again=True)


def main() -> None:
    """Do what standard input asks for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent, who gets it too, ends this
    answer = os.dup(1)
    os.dup2(2, 1)  # what the task prints is no answer
    call, arguments = pickle.loads(_read(int.from_bytes(_read(_LENGTH), "big")))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    started = time.monotonic()
    ended = outcome_of(call, arguments)
    ended = replace(ended, seconds=time.monotonic() - started)
    try:
        content = pickle.dumps(ended)
    except Exception as error:
        content = pickle.dumps(Ended(reason=f"Its outcome can't be sent: {type(error).__name__}."))
    sys.stdout.flush()
    sys.stderr.flush()
    with os.fdopen(answer, "wb") as file:
        file.write(content)
    os._exit(0)  # nothing is left to be done, and libraries' threads may hang


def _read(size: int) -> bytes:
    """Not by sys.stdin: a thread that holds its lock makes the interpreter crash as it ends."""
    parts = []
    while size:
        part = os.read(0, min(size, 1 << 20))
        if not part:
            os._exit(1)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)
