"""What a verb is called for, so that `-q` prints that alone."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TypeVar

_WARNINGS = ("Warning:", "Before you believe")
_results: list[str] = []

P = TypeVar("P")


def result(path: P) -> P:
    """The path, or address, of a result as it is, noted."""
    _results.append(str(path))
    return path


@contextmanager
def only_results() -> Iterator[None]:
    """Print nothing but the noted results; of a verb without any, all that it prints.

    Warnings among the rest go to standard error. Nothing is printed where the verb fails.
    """
    _results.clear()
    with redirect_stdout(io.StringIO()) as rest:
        yield
    said = rest.getvalue()
    if not _results:
        sys.stdout.write(said)
        return
    for line in said.splitlines():
        if line.strip().startswith(_WARNINGS):
            print(line.strip(), file=sys.stderr)
    print(*_results, sep="\n")
