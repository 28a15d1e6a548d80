"""The page as a person starts it: a process of its own, with folders to look into afterwards."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.cxrkeras.serving.app import page_files
from tests.screens.browser import browser  # noqa: F401


@dataclass
class Served:
    """A running page, and where it might leave something."""

    url: str
    process: subprocess.Popen
    told: Path
    temporary: Path
    working: Path


_APP = "from cxrkeras.cli import main; main()"
_PLAIN = """
from tests.cxrkeras.serving.app.page_files import LIMIT, Saying
from cxrkeras.serving.app.gate.address import listen
from cxrkeras.serving.app.serve import serve
from cxrkeras.serving.app.terms import Terms
serve(Saying(), Terms(LIMIT), [listen("127.0.0.1", 0)], open_page=False)
"""


@contextmanager
def started(folder: Path, *words: str, code: str = _APP):
    """`cxrkeras app` with these words, working below a folder."""
    if find_spec("gradio") is None:  # to import it takes seconds, and only the page's process must
        pytest.skip("the extra `app` isn't installed: pip install .[app]")
    places = temporary, working = folder / "temporary", folder / "working"
    for place in places:
        place.mkdir()
    told = folder / "told.txt"
    words = ["app", *words, "--port", "0", "--max-mb", str(page_files.LIMIT_MB)]
    with told.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            cwd=working,
            env=os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
            stderr=log,
            stdout=log,
        )
    while not (found := re.search(r"http://127\S+(?=  \()", told.read_text())):
        assert process.poll() is None, told.read_text()
        time.sleep(0.1)
    yield Served(found.group(), process, told, temporary, working)
    process.send_signal(signal.SIGINT)
    process.wait(60)


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """A page with a small model."""
    folder = tmp_path_factory.mktemp("served")
    with started(folder, str(page_files.write_model(folder / "model"))) as page:
        yield page


@pytest.fixture(scope="module")
def served_plainly(tmp_path_factory):
    """A page that starts in seconds: its model says the mean grey.

    It ends with the file that uses it: a waiting page takes 3 % of a core.
    """
    with started(tmp_path_factory.mktemp("plain"), code=_PLAIN) as page:
        yield page


@pytest.fixture(scope="session")
def served_elsewhere(tmp_path_factory):
    """A page with the same model, which a server holds."""
    pytest.importorskip("tensorflow_serving.apis", reason="tensorflow-serving-api (extra serve)")
    from cxrkeras.evaluation.rules import parse_rule
    from cxrkeras.serving.export.run import export_model
    from cxrkeras.serving.predictor.read import read_card
    from tests.cxrkeras.serving.stand_in import Loaded, grpc_server

    folder = tmp_path_factory.mktemp("elsewhere")
    card = read_card(page_files.write_model(folder / "model"))
    rule = parse_rule("corrected")
    exported = export_model(
        card, folder / "chest", ["saved-model"], rule, [], describe=lambda differences: "card"
    )
    with (
        grpc_server(Loaded("chest", exported.folders[0])) as address,
        started(folder, "chest", "--server", address) as page,
    ):
        yield page
