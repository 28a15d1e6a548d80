"""Who worked on a run, and when: a note in its environment.json for each process that fitted."""

import json
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.runtime.hardware import hardware
from data_prep.files import atomic_write_json


def note_start(run: Path) -> None:
    """Add this process to `starts`: the time, the command line, devices, driver and commit.

    The backend must have started.

    Args:
        run: a run folder that was begun.
    """
    note = {"at": _now(), "command": _command(), "commit": _commit(), **hardware()}
    _change(run, lambda known: known | {"starts": [*known.get("starts", []), note]})


def note_end(run: Path) -> None:
    """Set `finished` to this moment."""
    _change(run, lambda known: known | {"finished": _now()})


def _change(run: Path, change) -> None:
    path = RunFolder(run).environment
    atomic_write_json(path, change(json.loads(path.read_text(encoding="utf-8"))))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _command() -> str:
    words = [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv[0] else sys.argv
    return shlex.join(word.encode("utf-8", "replace").decode() for word in words)


def _commit() -> str | None:
    """That of the checkout that runs, with `+` if files differ from it; None without a checkout."""
    here = Path(__file__).parents[2]
    if not (here / ".git").exists():
        return None
    try:
        commit, changes = (
            subprocess.run(
                ["git", "-C", str(here), *words], capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+" if changes else commit
