"""Threads of an operation, and other variables of a process that decide its results."""

import os
import sys

from cxrkeras.runtime.backends import backend
from data_prep.dataset.pool import cores

THREADS = "TF_NUM_INTRAOP_THREADS"
_CHOSEN = ("XLA_", "JAX_", "TF_ENABLE_", "TF_CPP_MIN_")
"""Beginnings of variables that decide what a process does."""


def threads() -> int:
    """The threads of an operation: how they share its sums decides the last digits of results."""
    given = os.environ.get(THREADS, "")
    return int(given) if given.isdigit() and int(given) else cores()


def use_threads(count: int | None) -> None:
    """Let operations use so many threads, unless that is chosen or decided already."""
    if count and "tensorflow" not in sys.modules:
        os.environ.setdefault(THREADS, str(count))


def of_tasks(count: int | None) -> dict[str, str]:
    """The variables of a task elsewhere, whose results are to be those of this process.

    Args:
        count: threads of an operation; as many as here if None.
    """
    chosen = {name: value for name, value in os.environ.items() if name.startswith(_CHOSEN)}
    count = str(count or threads())
    # A cluster sets some of these for its processes; here they are as they would be at home.
    usual = {"OMP_NUM_THREADS": count, "TF_USE_LEGACY_KERAS": "0"}
    usual |= {name: os.environ[name] for name in usual if name in os.environ}
    return {**usual, **chosen, "KERAS_BACKEND": backend(), THREADS: count}
