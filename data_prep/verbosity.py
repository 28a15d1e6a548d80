"""How much of what is said reaches standard error; logs get all of it.

It is the environment's `CXRKERAS_VERBOSITY` (quiet, usual or detailed), so that processes that are
started here inherit it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

QUIET, USUAL, DETAILED = "quiet", "usual", "detailed"
_VERBOSITY = "CXRKERAS_VERBOSITY"


def verbosity() -> str:
    """How much is said."""
    return os.environ.get(_VERBOSITY, USUAL)


@contextmanager
def said_as(level: str | None) -> Iterator[None]:
    """Say so much within; None leaves it as it is."""
    before = os.environ.get(_VERBOSITY)
    if level:
        os.environ[_VERBOSITY] = level
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_VERBOSITY, None)
        else:
            os.environ[_VERBOSITY] = before
