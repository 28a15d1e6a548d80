"""The lock by which processes that share a cache don't make the same thing at once."""

import subprocess
import sys
import threading
import time

from cxrkeras.training.stages.cache import alone

HOLD = """
import sys, time
from pathlib import Path
from cxrkeras.training.stages.cache import alone
with alone(Path(sys.argv[1]), "a thing"):
    Path(sys.argv[2]).touch()
    time.sleep(60)
"""


def test_one_after_another_and_nothing_is_left(tmp_path):
    going, most = [], []

    def make():
        with alone(tmp_path / "thing", "a thing"):
            going.append(1)
            most.append(len(going))
            time.sleep(0.01)
            going.pop()

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8
    assert not list(tmp_path.iterdir())


def test_others_wait_for_a_process_until_it_is_killed(tmp_path, capsys):
    there = tmp_path / "there"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "thing", there])
    while not there.exists():
        time.sleep(0.01)
    killer = threading.Timer(0.3, holder.kill)
    killer.start()
    with alone(tmp_path / "thing", "a thing"):
        assert holder.wait() != 0
    said = capsys.readouterr().err
    assert said == "a thing: waiting for another process that makes it\n"
