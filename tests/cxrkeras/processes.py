"""A verb in a process of its own, to be killed or waited for; Keras on another backend."""

import os
import subprocess
import sys


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
