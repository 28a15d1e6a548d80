"""Work over processes that crash."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from data_prep.dataset import pool
from data_prep.dataset.pool import Died, spread
from data_prep.errors import UserError
from tests.conftest import ROOT


def work(number: int) -> int:
    """Squares; the process dies of a 13."""
    if number == 13:
        os.kill(os.getpid(), signal.SIGSEGV)
    return number * number


def refuse(number: int) -> int:
    raise ValueError(number)


def test_without_processes_it_is_a_map():
    assert dict(spread(work, range(5), 0)) == {n: n * n for n in range(5)}


def test_a_crash_costs_one_item_only():
    outcomes = dict(spread(work, range(30), 2))
    assert outcomes.pop(13) == Died()
    assert outcomes == {n: n * n for n in range(30) if n != 13}


def test_items_are_consumed_as_the_work_goes_on():
    taken = []
    numbers = (taken.append(n) or n for n in range(100))
    results = spread(abs, numbers, 1)
    next(results)
    assert len(taken) < 20
    results.close()


def test_all_processes_are_ended_at_once_when_nobody_listens(monkeypatch):
    monkeypatch.setattr("data_prep.dataset.pool._GRACE", 0.5)
    results = spread(time.sleep, [0.0, 60.0, 60.0, 60.0, 60.0], 4)
    next(results)
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 1.4  # one after another: 2


def test_a_process_that_dies_again_and_again_loses_nothing_that_waited_behind(tmp_path):
    numbers = [13, 1, 13, 2, 13, 3]
    outcomes = sorted(spread(work, numbers, 1), key=lambda pair: pair[0])
    assert [item for item, _ in outcomes] == sorted(numbers)
    assert all(o == Died() if n == 13 else o == n * n for n, o in outcomes)


def after_the_others(name: str, folder: Path) -> None:
    """The first ends when the two others have."""
    if name == "first":
        _until(lambda: len(list(folder.iterdir())) == 2)
    else:
        (folder / name).touch()


def test_an_item_waits_behind_another_only_where_no_process_is_idle(tmp_path):
    work = partial(after_the_others, folder=tmp_path)
    outcomes = spread(work, ["first", "second", "third"], 3)
    assert {name for name, _ in outcomes} == {"first", "second", "third"}


def test_an_error_of_the_work_itself_is_raised():
    with pytest.raises(ValueError, match="3"):
        list(spread(refuse, [3], 1))


def leave(connection, limits):
    os._exit(1)


def test_if_no_process_starts_it_is_said_and_no_item_is_blamed(monkeypatch):
    monkeypatch.setattr(pool, "work_on", leave)
    with pytest.raises(UserError, match="Worker processes can't be started"):
        list(spread(abs, range(5), 2))


def test_the_user_s_script_is_not_run_again_by_each_process(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from data_prep.dataset.pool import spread\nprint(sorted(spread(abs, range(-5, 0), 2)))\n"
    )
    run = subprocess.run([sys.executable, script], env=ENVIRONMENT, capture_output=True, text=True)
    assert run.stdout.splitlines() == [str([(n, -n) for n in range(-5, 0)])]
    assert not run.stderr


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
ENDLESS = """
import sys
from data_prep.dataset.pool import spread
from tests.data_prep.dataset.test_pool import note_and_wait

list(spread(note_and_wait, [sys.argv[1]] * 2, 2))
"""


def note_and_wait(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(60)


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    pids = tmp_path / "pids"
    pids.mkdir()
    parent = subprocess.Popen([sys.executable, script, pids], env=ENVIRONMENT)
    _until(lambda: len(list(pids.iterdir())) == 2)
    parent.kill()
    parent.wait()
    _until(lambda: not any(_alive(int(path.name)) for path in pids.iterdir()))


def _until(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
