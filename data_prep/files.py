"""Writing files so that a run killed at any moment leaves either the old file or the new one."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, ending: str = ".tmp") -> Iterator[Path]:
    """Yield a temporary name beside `path`; what is written there replaces it if all goes well.

    Args:
        path: the file; its folder is created if necessary.
        ending: suffix of the temporary name, for writers that need one (`.keras`, `.weights.h5`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # On storage that machines share, a process's number isn't its own.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}{ending}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` in one step: a reader sees the old file or the whole new one."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def atomic_write_text(path: Path, content: str) -> None:
    """Write `content` as UTF-8 with `\\n` line ends; see `atomic_write_bytes`.

    What UTF-8 can't hold (a file name of other bytes) is written escaped.
    """
    atomic_write_bytes(path, content.encode("utf-8", "backslashreplace"))


def atomic_write_json(path: Path, content: object) -> None:
    """Write `content` as indented JSON; NaN is refused, since JSON has none (use None)."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    atomic_write_text(path, text + "\n")


LARGEST_JSON = 32_000_000
"""Largest description that is read, in bytes; a model's with a thousand labels has a tenth."""


def read_json(path: Path) -> object:
    """Read a JSON file that anyone may have written.

    Raises:
        FileNotFoundError, OSError: it isn't there or can't be read.
        ValueError: saying in a few words why it is no such file.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST_JSON + 1)
    if len(content) > LARGEST_JSON:
        raise ValueError(f"it is larger than {LARGEST_JSON // 1_000_000} MB")
    try:
        return json.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it isn't UTF-8") from None
    except ValueError:
        raise ValueError("it isn't JSON") from None


_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def not_a_file(path: Path) -> str:
    """What else a path leads to, e.g. `a pipe`, which would make readers wait; "" for a file."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # opening it gives the reason
        return ""
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "")


def reason_of(error: OSError) -> str:
    """Why the system refused, in its own words and without the path."""
    return (error.strerror or "the system refused").lower()
