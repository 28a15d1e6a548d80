"""What the tests of executors have done in other processes."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from data_prep.errors import UserError
from data_prep.files import atomic_write_text


def square(number: int) -> int:
    print("squaring", number, file=sys.stderr)
    print("not the answer")
    return number * number


def refuse(number: int) -> None:
    raise UserError(f"{number} can't be used.")


def stumble(patient: str) -> None:
    raise KeyError(patient)


def die(folder: Path, times: int) -> int:
    """Is killed so many times; leaves a file for each."""
    tried = len(list(folder.glob("tried.*")))
    (folder / f"tried.{tried}").touch()
    if tried < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return tried


def meet(folder: Path, name: str, other: str) -> str:
    """Ends only when the other runs too."""
    (folder / name).touch()
    wait_for(folder / other)
    return name


def alone(folder: Path, name: str) -> int:
    """How many others ran at any time."""
    (folder / f"{name}.runs").touch()
    time.sleep(0.1)
    others = len(list(folder.glob("*.runs"))) - 1
    (folder / f"{name}.runs").unlink()
    return others


def variable(name: str) -> str | None:
    return os.environ.get(name)


def sleep(folder: Path, name: str) -> None:
    (folder / name).write_text(str(os.getpid()))
    time.sleep(600)


def write(folder: Path, name: str) -> str:
    """Reads a file and writes two."""
    told = (folder / "given.txt").read_text()
    (folder / name).mkdir()
    (folder / name / "one.txt").write_text(told + name)
    (folder / name / "whole.json").write_text("{}")
    return told


@dataclass(frozen=True)
class Item:
    number: int


def square_into(item: Item, folder: Path) -> int:
    atomic_write_text(folder / f"{item.number}.txt", str(item.number))
    return item.number**2


def fail_on_three(item: Item, folder: Path) -> int:
    if item.number == 3:
        raise OSError(28, "No space left on device")
    return item.number


def wait_for(path: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)
