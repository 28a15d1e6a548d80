"""The cache of work that later runs share: trained stages, features, the built-in data."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import platformdirs

from data_prep.say import say

try:
    import fcntl
except ImportError:  # Windows has none: there, work may be done twice
    fcntl = None

PIXELS = "pixels"
"""The cache's folder of decoded images."""


def cache_folder() -> Path:
    """`CXRKERAS_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("CXRKERAS_CACHE", platformdirs.user_cache_path("cxrkeras")))


@contextmanager
def alone(path: Path, what: str) -> Iterator[None]:
    """Keep other processes from making the same thing meanwhile; look for it afterwards, again.

    The system ends the lock with its process, also on another machine (NFS 4). On storage without
    locks nobody waits: then the same thing is made twice, and the first to be done is kept.

    Args:
        path: of what is made in the cache.
        what: it is, for the line that says that another process makes it.
    """
    lock = path.with_name(f".{path.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    file = _locked(lock, what)
    try:
        yield
    finally:
        if file:
            lock.unlink(missing_ok=True)
            file.close()


def _locked(lock: Path, what: str) -> IO | None:
    while fcntl:
        file = lock.open("w")
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"{what}: waiting for another process that makes it")
                fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # storage without locks
            file.close()
            return None
        except BaseException:
            file.close()
            raise
        if _is(file, lock):
            return file
        file.close()  # whoever had it has removed it
    return None


def _is(file: IO, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), lock.stat())
    except FileNotFoundError:
        return False
