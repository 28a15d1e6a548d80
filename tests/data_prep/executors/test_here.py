"""Executors of this machine: their contract, and what processes add to it."""

import os
import subprocess
import sys

import pytest

from cxrkeras.registry import EXECUTORS
from data_prep.errors import UserError
from data_prep.executors import Folder
from data_prep.executors.shared.here import Processes
from tests.conftest import ROOT
from tests.data_prep.executors.contract import (
    check_ended,
    check_items,
    check_outcomes,
    runs,
    task,
)
from tests.data_prep.executors.work import wait_for

HERE = [name for name in EXECUTORS.names() if name != "ray"]


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The tests' own functions, in other processes."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def two():
    return EXECUTORS.make("processes:count=2")


@pytest.mark.parametrize("name", HERE)
def test_each_task_has_its_outcome(name, tmp_path, capfd):
    check_outcomes(EXECUTORS.make(name), tmp_path, capfd)


@pytest.mark.parametrize("name", HERE)
def test_each_item_has_its_outcome(name, tmp_path):
    check_items(EXECUTORS.make(name), tmp_path)


def test_whoever_stops_to_listen_ends_the_tasks(two, tmp_path):
    check_ended(two, tmp_path)


def test_as_many_work_at_once_as_are_asked_for(two, tmp_path):
    folder = Folder(tmp_path)
    meeting = [task(a, "meet", folder, a, b) for a, b in (("a", "b"), ("b", "a"))]
    assert {one.value for one in two.run(meeting)} == {"a", "b"}


def test_who_makes_the_same_waits_for_the_first(tmp_path):
    folder, made = Folder(tmp_path), frozenset(["stage"])
    tasks = [task(name, "alone", folder, name, makes=made) for name in "ab"]
    outcomes = EXECUTORS.make("processes:count=2").run(tasks)
    assert [one.value for one in outcomes] == [0, 0]


def test_what_tasks_say_is_told_under_their_names(two, capfd):
    tasks = [task(f"number {n}", "square", n) for n in (2, 3)]
    assert sorted(one.value for one in two.run(tasks)) == [4, 9]
    said = capfd.readouterr()
    lines = ["number 2 | not the answer", "number 2 | squaring 2"]
    lines += ["number 3 | not the answer", "number 3 | squaring 3"]
    assert sorted(said.err.splitlines()) == lines
    assert said.out == ""


def test_each_process_has_gpus_of_its_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7,8")
    assert Processes(8, 2).count == 2
    tasks = [task(name, "variable", "CUDA_VISIBLE_DEVICES") for name in "abc"]
    shown = [one.value for one in EXECUTORS.make("processes:count=2,gpus=2").run(tasks)]
    assert set(shown) == {"4,5", "6,7"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError, match="--gpus-per-task 2 needs as many GPUs"):
        list(EXECUTORS.make("processes:count=1,gpus=2").run(tasks))


def test_tasks_import_nothing_from_the_working_folder(two, tmp_path, monkeypatch):
    (tmp_path / "queue.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    assert [one.value for one in two.run([task("seven", "square", 7)])] == [49]


DRIVER = """
import sys
from pathlib import Path
from cxrkeras.registry import EXECUTORS
from data_prep.executors import Folder, Task
call = "tests.data_prep.executors.work:sleep"
list(EXECUTORS.make("processes:count=1").run([Task("a", call, (Folder(Path(sys.argv[1])), "pid"))]))
"""


def test_tasks_end_with_a_caller_that_is_killed(tmp_path):
    caller = subprocess.Popen([sys.executable, "-c", DRIVER, tmp_path])
    wait_for(tmp_path / "pid")
    while not (pid := (tmp_path / "pid").read_text()):
        pass
    caller.kill()
    caller.wait()
    for _ in range(600):
        if not runs(int(pid)):
            return
        wait_for(tmp_path)
    pytest.fail("the task outlived its caller")
