"""What the tests of several folders share."""

import subprocess
import sys

import pytest

from tests.cxrkeras.processes import environment_of


@pytest.fixture(scope="session")
def on_jax():
    """`on_jax(__file__)` runs a file's tests again, in a process whose Keras runs on JAX.

    It takes single tests too, `FILE::NAME`, and several at once.
    """
    pytest.importorskip("jax")

    def run(*tests: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
            env=environment_of("jax"),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-3000:]
        assert " passed" in done.stdout

    return run
