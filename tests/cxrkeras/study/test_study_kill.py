"""A study killed in the middle: what was finished isn't done again, and the end is the same."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.cxrkeras.processes import DRIVER, end, started, tasks_of, with_tiny

TABLES = ("study.csv", "study.md")
STUDY = """
[run]
data = "{data}/target"
image-size = 32
folds = 2
epochs = 1
batch-size = 8
test-fraction = 0.25
[source]
a = "{data}/a"
b = "{data}/b"
[grid]
backbone = ["tiny"]
[[setting]]
name = "A"
source = "a"
[[setting]]
name = "mixed A | B"
method = "mixed"
source = ["a", "b"]
[[setting]]
name = "A + B"
method = "cotrain"
source = ["a", "b"]
"""


@pytest.fixture
def begin(data, tmp_path, monkeypatch):
    """`begin(name)` starts `cxrkeras study` into that folder, with a cache of its own."""
    (tmp_path / "small.toml").write_text(STUDY.replace("{data}", str(data)))
    monkeypatch.setenv("PYTHONPATH", with_tiny(tmp_path / "site"))

    def start(name: str) -> subprocess.Popen:
        monkeypatch.setenv("CXRKERAS_CACHE", str(tmp_path / f"cache-{name}"))
        words = ["study", tmp_path / "small.toml", "--out", tmp_path / name]
        return started(DRIVER, *words)

    return start


def finished_folds(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.glob("runs/*/folds/*/fold.json")}


def results(out: Path) -> dict[str, bytes]:
    files = [*out.glob("runs/*/predictions.csv"), *out.glob("runs/*/test_predictions.csv")]
    return {str(path.relative_to(out)): path.read_bytes() for path in [*files, out / "folds.csv"]}


def scores(out: Path) -> pd.DataFrame:
    """study.csv without what a clock measured."""
    return pd.read_csv(out / "study.csv").drop(columns="seconds")


@pytest.mark.slow
def test_a_killed_study_loses_the_fold_in_progress_at_most(begin, tmp_path):
    started = time.monotonic()
    end(begin("whole"))
    length = time.monotonic() - started
    draw, known = random.Random(0), {}
    for _ in range(3):
        process = begin("killed")
        try:
            process.communicate(timeout=draw.uniform(0.2, 0.5) * length)
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        deadline = time.monotonic() + 30
        while tasks_of(tmp_path):
            assert time.monotonic() < deadline, "the cell's process outlived the study"
            time.sleep(0.05)
        now = finished_folds(tmp_path / "killed")
        assert {path: now.get(path) for path in known} == known
        known = now
    assert known, "it was killed before any fold was finished: nothing was shown"
    end(begin("killed"))
    now = finished_folds(tmp_path / "killed")
    assert len(now) == 6
    assert {path: now[path] for path in known} == known
    assert results(tmp_path / "killed") == results(tmp_path / "whole")
    pd.testing.assert_frame_equal(scores(tmp_path / "killed"), scores(tmp_path / "whole"))


@pytest.mark.slow
def test_ctrl_c_ends_the_cell_and_the_study_in_one_line(begin, tmp_path):
    process = begin("stopped")
    deadline = time.monotonic() + 120
    while not list((tmp_path / "stopped").glob("runs/*/experiment.toml")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert said.splitlines()[-1] == "Stopped. The same command resumes from here."
    assert "Traceback" not in said
    assert not tasks_of(tmp_path)
    states = json.loads((tmp_path / "stopped" / "cells.json").read_text())["cells"]
    assert {cell["word"] for cell in states} == {"waiting"}


@pytest.mark.slow
def test_a_cell_that_is_killed_twice_is_noted_in_one_line(begin, tmp_path):
    process, killed = begin("out"), set()
    deadline = time.monotonic() + 120
    while len(killed) < 2:
        assert time.monotonic() < deadline
        for task in set(tasks_of(tmp_path)) - killed:
            os.kill(task, signal.SIGKILL)
            killed.add(task)
        time.sleep(0.05)
    process.communicate(timeout=900)
    assert process.returncode == 1
    cells = json.loads((tmp_path / "out" / "cells.json").read_text())["cells"]
    assert [cell["word"] for cell in cells].count("done") == 2
    failed = next(cell for cell in cells if cell["word"] == "failed")
    assert "killed by SIGKILL" in failed["reason"]
    end(begin("out"))
