"""Mutants of which each fails in its own way, to see that the fuzzer notices."""

import os
import time
from pathlib import Path

WAYS = (
    "accepted",
    "refused",
    "crash",
    "hang",
    "memory",
    "non-finite",
    "unforeseen",
    "at the bound",
)


class Mutants:
    """Mutant number N fails in the way of `WAYS[N]`."""

    memory, peak = 2**30, 2**24 - 2**28  # with the slack, 16 MB are too many

    def __init__(self, seed: int, folder: Path):
        self._way = ""

    def make(self, number: int) -> str:
        """Choose the way."""
        self._way = WAYS[number]
        return f"made to be {self._way}"

    def read(self) -> tuple[str, str]:
        """Go it."""
        if self._way == "crash":
            os.abort()
        if self._way == "hang":
            time.sleep(1000)
        if self._way == "memory":
            return "accepted", str(len(b"x" * 2**26))
        if self._way == "unforeseen":
            raise KeyError(self._way)
        if self._way == "at the bound":
            return "accepted", str(len(bytes(2**31)))
        return self._way, "so it is"
