"""SIGKILL at random moments: the same command ends with the same bytes as if nothing happened."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cxrkeras.runs.description import read_experiment
from cxrkeras.training.crossval import cross_validate
from tests.conftest import ROOT
from tests.cxrkeras.processes import end, started

RESULTS = ("predictions.csv", "test_predictions.csv", "folds.csv")
# What `cxrkeras` runs, with the tests' tiny backbone in the registry.
DRIVER = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.cxrkeras.backbones import known
known.add("tiny")
from cxrkeras.cli import main
main()
"""


@pytest.fixture
def begin(data, tmp_path, monkeypatch):
    """`begin(name, backbone)` starts `cxrkeras cv` into that folder, with a cache of its own."""
    cotrain = ["--method", "cotrain", "--folds", 3]
    cotrain += ["--source", f"a={data / 'a'}", "--source", f"b={data / 'b'}"]

    def start(name: str, backbone: str, how=cotrain) -> subprocess.Popen:
        monkeypatch.setenv("CXRKERAS_CACHE", str(tmp_path / f"cache-{name}"))
        choices = ["--data", data / "target", "--out", tmp_path / name, *how]
        choices += ["--backbone", backbone, "--image-size", 32, "--epochs", 2]
        choices += ["--batch-size", 8, "--test-fraction", 0.15]
        return started(DRIVER, "cv", *choices)

    return start


def results(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in RESULTS}


def kill_at(process: subprocess.Popen, moment: float) -> bool:
    """Whether the process was still running then."""
    try:
        process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return True
    assert process.returncode == 0
    return False


@pytest.mark.slow  # test_crossval.py has what a kill leaves undone done again
def test_one_kill_between_the_folds(begin, tmp_path, monkeypatch):
    process = begin("killed", "tiny", how=["--folds", 2])
    deadline = time.monotonic() + 120
    while not (tmp_path / "killed" / "folds" / "0" / "fold.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "predictions.csv").exists()
    # Gone on with in another process: this one, which has trained other things before.
    one = read_experiment(tmp_path / "killed" / "experiment.toml")
    cross_validate(one, tmp_path / "killed")
    monkeypatch.setenv("CXRKERAS_CACHE", str(tmp_path / "cache-whole"))
    cross_validate(one, tmp_path / "whole")
    assert results(tmp_path / "killed") == results(tmp_path / "whole")


@pytest.mark.slow
def test_ten_kills_at_random_moments(begin, tmp_path, capsys):
    started = time.monotonic()
    end(begin("whole", "mobilenet_v3_small"))
    length = time.monotonic() - started
    wanted = results(tmp_path / "whole")
    moments, runs, draw = [], 0, random.Random(0)
    while len(moments) < 10:
        runs += 1
        while True:
            moment = draw.uniform(0, length)
            if not kill_at(begin(f"run{runs}", "mobilenet_v3_small"), moment):
                break
            moments.append(moment)
            if len(moments) == 10:
                end(begin(f"run{runs}", "mobilenet_v3_small"))
                break
        assert results(tmp_path / f"run{runs}") == wanted
    with capsys.disabled():
        said = ", ".join(f"{moment:.0f}" for moment in moments)
        print(f"\n10 kills, at {said} s of {length:.0f} s, in {runs} runs: equal to the byte")
