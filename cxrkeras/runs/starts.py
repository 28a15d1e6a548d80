"""Whose a run's folder is, who worked on it, and when: a note in its environment.json for each
command that fitted.

Nothing here imports Keras or pandas, so that a wrong folder is told at once.
"""

import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.runs.description import read_experiment
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runtime.hardware import hardware
from data_prep.errors import UserError
from data_prep.files import atomic_write_json
from data_prep.say import detail
from data_prep.say import note as to_log

_COMMAND = "CXRKERAS_COMMAND"  # the command line that a task's process works for


def is_begun(run: Path, experiment: Experiment) -> bool:
    """Whether the folder already holds this experiment; changes nothing.

    Another experiment without a finished fold counts as none: it may be replaced.

    Raises:
        UserError: it holds another run, or something else that isn't a run.
    """
    description = RunFolder(run).experiment
    if not description.is_file():
        _refuse_other_files(run)
        return False
    new, old = experiment.placeless(), read_experiment(description).placeless()
    names = dict.fromkeys([*new, *old])
    differ = [name.replace("_", "-") for name in names if new.get(name) != old.get(name)]
    if differ and any(RunFolder(run).finished_folds()):
        raise UserError(
            f"{run} holds a run with different settings: --{', --'.join(differ)}. Give another "
            "--out, or remove that folder first."
        )
    return not differ


def _refuse_other_files(run: Path) -> None:
    # Hidden files are what a killed start left.
    own = {RunFolder(run).environment.name, RunFolder(run).fold_table.name}
    if run.is_dir() and all(p.name in own or p.name.startswith(".") for p in run.iterdir()):
        return
    if run.exists():
        raise UserError(f"{run} holds something that isn't a run. Give another --out.")
    parent = next(folder for folder in run.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"--out {run} can't be written: {parent} takes no new folder.")


def note_start(run: Path, *, here: bool = True) -> None:
    """Add this process to `starts`: the time, the command line, commit, devices and driver.

    The backend must have started. The run counts as unfinished until `note_end`.

    Args:
        run: a run folder that was begun.
        here: whether this process fits; devices and driver are left out if others do.
    """
    note = {"at": _now(), "command": command_line(), "commit": _commit()}
    note |= hardware() if here else {}
    to_log(f"started: {note['command']}")
    if here:
        detail(f"computes on {', '.join(note['devices'])}")

    def noted(known: dict) -> dict:
        unfinished = {key: value for key, value in known.items() if key != "finished"}
        return unfinished | {"starts": [*known.get("starts", []), note]}

    _change(run, noted)


def note_end(run: Path) -> None:
    """Set `finished` to this moment, unless the run has ended before."""
    _change(run, lambda known: known | ({"finished": _now()} if _is_open(known) else {}))


def is_open(run: Path) -> bool:
    """Whether a run folder notes a start, but no end."""
    return _is_open(json.loads(RunFolder(run).environment.read_text(encoding="utf-8")))


def for_tasks() -> dict[str, str]:
    """The variable by which a task's process notes this process's command line, not its own."""
    return {_COMMAND: command_line()}


def _is_open(known: dict) -> bool:
    return "starts" in known and "finished" not in known


def _change(run: Path, change) -> None:
    path = RunFolder(run).environment
    known = json.loads(path.read_text(encoding="utf-8"))
    if (changed := change(known)) != known:
        atomic_write_json(path, changed)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def command_line() -> str:
    """What was typed, or what a task's process works for."""
    if told := os.environ.get(_COMMAND):
        return told
    program, *words = sys.argv or [""]  # none where Python is embedded
    words = [Path(program).name, *words]
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
