"""The page as a person starts it: a process of its own, with folders to look into afterwards."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import page_files
import pytest


@dataclass
class Served:
    """A running page, and where it might leave something."""

    url: str
    process: subprocess.Popen
    told: Path
    temporary: Path
    working: Path


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """`cxrkeras app` with a small model."""
    pytest.importorskip("gradio", reason="the extra `app` isn't installed: pip install .[app]")
    folder = tmp_path_factory.mktemp("served")
    model = page_files.write_model(folder / "model")
    places = temporary, working = folder / "temporary", folder / "working"
    for place in places:
        place.mkdir()
    told = folder / "told.txt"
    words = ["app", str(model), "--port", "0", "--max-mb", str(page_files.LIMIT_MB)]
    root = Path(__file__).resolve().parents[4]
    with told.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from cxrkeras.cli import main; main()", *words],
            cwd=working,
            env=os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(root)},
            stderr=log,
            stdout=log,
        )
    while not (found := re.search(r"http://\S+", told.read_text())):
        assert process.poll() is None, told.read_text()
        time.sleep(0.1)
    yield Served(found.group(), process, told, temporary, working)
    process.send_signal(signal.SIGINT)
    process.wait(60)
