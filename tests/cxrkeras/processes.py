"""A verb in a process of its own, to be killed or waited for; Keras on another backend."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.other_package import install

TINY = Path(__file__).parent / "backbones" / "tiny.py"
DRIVER = "from cxrkeras.cli import main; main()"


def with_tiny(folder: Path) -> str:
    """A PYTHONPATH by which processes find the tests and the backbone `tiny`, as installed."""
    install(folder, {"cxrkeras.models.backbones/tiny": TINY.read_text()})
    return os.pathsep.join(filter(None, [str(ROOT), str(folder), os.environ.get("PYTHONPATH")]))


def tasks_of(folder: Path) -> list[int]:
    """The processes of executors' tasks whose PYTHONPATH, of `with_tiny`, has that folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (path / "cmdline").read_bytes(), (path / "environ").read_bytes()
        except OSError:
            continue
        if b"executors.shared.child" in command and str(folder).encode() in environment:
            found.append(int(path.name))
    return found


def started(driver: str, *words: object) -> subprocess.Popen:
    """Python running `driver` with these words; what it says on standard error is kept."""
    return subprocess.Popen(
        [sys.executable, "-c", driver, *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen) -> None:
    """Wait for a process, which must succeed."""
    said = process.communicate(timeout=900)[1]
    assert process.returncode == 0, said


def environment_of(backend: str) -> dict[str, str]:
    """The environment of a process whose Keras runs on `backend`.

    XLA optimises little there, since tiny networks take longer to compile than to run.
    """
    choices = {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    return {**os.environ, **choices, "XLA_FLAGS": "--xla_backend_optimization_level=0"}
