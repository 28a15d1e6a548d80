"""A call of the command line in this process, and what became of it."""

import contextlib
import io

from cxrkeras.cli import main


def called(words: list[str]) -> tuple[str, str]:
    """`accepted`, `refused` or `unforeseen`, and what it said last."""
    said = io.StringIO()
    code = 0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        try:
            main(words)
        except SystemExit as end:
            code = end.code
    last = (said.getvalue().strip().splitlines() or [""])[-1]
    if code not in (0, 1, 2) or "unforeseen" in last or "Traceback" in said.getvalue():
        return "unforeseen", f"exit {code}: {last}"
    return ("refused", last) if code else ("accepted", "")
