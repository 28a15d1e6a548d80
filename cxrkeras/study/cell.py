"""One cell of a study in its own process, which frees its memory and ends with the study."""

import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from data_prep.errors import UserError

STOPPED = 130
COMMAND = (sys.executable, "-m", "cxrkeras.study.cell")
Runner = Callable[[Path, Path], str | None]
"""(description, run folder) -> None, or in one line why it failed."""


def run_cell(description: Path, run: Path) -> str | None:
    """Cross-validate one description in a new process, since Keras doesn't free its models' memory.

    The process ends when this one does, for whatever reason: it watches a pipe that only this one
    holds open.

    Args:
        description: TOML of an experiment.
        run: the run folder.

    Returns:
        None, or in one line why it failed.

    Raises:
        KeyboardInterrupt: it was stopped from the keyboard.
    """
    process = subprocess.Popen(
        [*COMMAND, str(description), str(run)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        said = process.stdout.read()
        code = process.wait()
    finally:
        process.stdin.close()  # a process that is still running ends now
        process.stdout.close()
        process.wait()
    if code in (STOPPED, -signal.SIGINT):
        raise KeyboardInterrupt
    return None if code == 0 else _reason(said, code, description, run)


def _reason(said: str, code: int, description: Path, run: Path) -> str:
    for line in reversed(said.splitlines()):
        if line.startswith('{"reason":'):
            return json.loads(line)["reason"]
    if code < 0:
        return (
            f"Its process was killed by {signal.Signals(-code).name}, as happens when the system "
            "runs out of memory. Lower batch-size or image-size, or free memory."
        )
    return (
        f"Its process ended with {code}. See why: "
        f"cxrkeras --debug cv --config {description} --out {run}"
    )


def main(description: Path, run: Path) -> int:
    """Cross-validate and return the exit code; the reason for a failure goes to standard output."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from cxrkeras.runs.description import read_experiment
    from cxrkeras.training.crossval import cross_validate

    try:
        cross_validate(read_experiment(description), run)
    except KeyboardInterrupt:
        return STOPPED
    except UserError as error:
        return _failed(str(error))
    except Exception as error:
        # Its message may hold patient data: only the kind and the place are told.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return _failed(
            f"Unforeseen {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}. "
            f"For the trace: cxrkeras --debug cv --config {description} --out {run}"
        )
    return 0


def _failed(reason: str) -> int:
    print(json.dumps({"reason": reason}), flush=True)
    return 1


def _end_with_parent() -> None:
    # Not sys.stdin: a thread that holds its lock would make the interpreter crash as it ends.
    while os.read(0, 1):
        pass
    os._exit(STOPPED)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
