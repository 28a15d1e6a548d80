"""What every executor must do; asked of those of this machine quickly, and of a cluster slowly."""

import time
from pathlib import Path

import pytest

from data_prep.executors import Executor, Folder, Task
from tests.data_prep.executors.work import Item, fail_on_three, square_into

WORK = "tests.data_prep.executors.work"


def task(name: str, call: str, *arguments: object, **more: object) -> Task:
    return Task(name, f"{WORK}:{call}", arguments, **more)


def check_outcomes(executor: Executor, folder: Path, capfd) -> None:
    """Each task has its outcome, whatever becomes of the others."""
    tasks = [
        task("seven", "square", 7),
        task("refused", "refuse", 5),
        task("unforeseen", "stumble", "Jane Doe"),
        task("killed once", "die", Folder(folder / "once"), 1),
        task("killed twice", "die", Folder(folder / "twice"), 2),
        task("told", "variable", "CXRKERAS_TOLD", environment={"CXRKERAS_TOLD": "so"}),
    ]
    for name in ("once", "twice"):
        (folder / name).mkdir()
    outcomes = {one.task.name: one for one in executor.run(tasks)}
    said = capfd.readouterr().err
    assert len(outcomes) == len(tasks)
    assert (outcomes["seven"].value, outcomes["seven"].reason) == (49, "")
    assert outcomes["refused"].reason == "5 can't be used."
    assert outcomes["unforeseen"].reason.startswith("Unforeseen KeyError at work.py:")
    assert "Jane" not in said
    assert outcomes["killed once"].reason == ""
    assert outcomes["killed once"].value == 1
    assert "killed by SIGKILL" in outcomes["killed twice"].reason
    assert outcomes["told"].value == "so"
    crashed = {name for name, one in outcomes.items() if one.crashed}
    assert crashed == {"unforeseen", "killed twice"}
    again = [line for line in said.splitlines() if line.endswith("It is done again.")]
    names = {line.partition(" | ")[0] for line in again}
    assert names == {"killed once", "killed twice", "unforeseen"}
    assert "squaring 7" in said


def check_items(executor: Executor, folder: Path) -> None:
    """Each item has its outcome, and what is written for it is there before that is told."""
    there = set()
    items = [Item(number) for number in range(20)]
    for item, outcome in executor.spread(square_into, items, folder=folder):
        assert outcome == item.number**2
        assert (folder / f"{item.number}.txt").read_text() == str(item.number)
        there.add(item)
    assert there == set(items)
    with pytest.raises(OSError, match="No space left"):
        list(executor.spread(fail_on_three, items, folder=folder))


def check_ended(executor: Executor, folder: Path) -> None:
    """Whoever stops to listen ends the tasks."""
    tasks = [task("first", "square", 1), task("endless", "sleep", Folder(folder), "pid")]
    outcomes = executor.run(tasks)
    assert next(outcomes).value == 1
    if executor.spreads:
        deadline = time.monotonic() + 60
        while not (folder / "pid").exists() or not (folder / "pid").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    outcomes.close()
    if executor.spreads:
        pid = int((folder / "pid").read_text())
        deadline = time.monotonic() + 30
        while runs(pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
