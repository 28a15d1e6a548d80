"""The cache, the key of the hashes, memory and disk."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cxrkeras.commands.checks import FAULT, OK, WARNING, Found
from data_prep.dataset.identity import KEY_VARIABLE, default_key_file, load_key
from data_prep.errors import UserError

GB = 1e9
LITTLE_DISK, NO_DISK = 10 * GB, 1 * GB  # a source stage and its features take some GB
LITTLE_MEMORY, NO_MEMORY = 6 * GB, 3 * GB  # a frozen run of 512 px images takes about 3
_MOST_FILES = 200_000  # that are counted


def cache() -> Iterator[Found]:
    """Where it is, whether it can be written, and how much it holds."""
    from cxrkeras.training.stages.cache import cache_folder

    folder = cache_folder().absolute()
    cure = "Set CXRKERAS_CACHE to a folder that you may write."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        yield Found("Cache", FAULT, f"{folder}: {error.strerror or 'not writable'}", cure)
        return
    yield Found("Cache", OK, f"{folder}: writable, holds {_held(folder)}")


def _held(folder: Path) -> str:
    size = count = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(root, name)).st_size
            except OSError:
                continue  # another process has just removed it
            count += 1
            if count >= _MOST_FILES:
                return f"over {size / GB:.1f} GB"
    return f"{size / GB:.1f} GB" if size >= GB / 10 else f"{size / 1e6:.1f} MB"


def key() -> Iterator[Found]:
    """Whether there is a key for hashes of identifiers; nothing of it is shown, none is made."""
    path = default_key_file()
    if not path.exists() and not path.is_symlink():
        yield Found("Key", OK, f"none yet: `cxrkeras prep` makes one for hashes at {path}")
        return
    try:
        load_key(path)
    except UserError as error:
        cure = f"Restore it from a copy, or set {KEY_VARIABLE} to another file."
        yield Found("Key", FAULT, str(error), cure)
        return
    if os.name == "posix" and path.stat().st_mode & 0o077:
        yield Found("Key", WARNING, f"{path}: others can read it", f"chmod 600 {path}")
    else:
        yield Found("Key", OK, f"{path}: there, and for you alone. Keep a copy in a safe place.")


def memory() -> Iterator[Found]:
    """What the machine has free, or its container."""
    free, total = _memory()
    if free is None:
        yield Found("Memory", WARNING, "unknown on this system")
        return
    said = f"{free / GB:.1f} of {total / GB:.1f} GB free"
    cure = "Close other programs, or choose a smaller --batch-size and --image-size."
    if free < NO_MEMORY:
        yield Found("Memory", WARNING, f"{said}: too little for most trainings", cure)
    elif free < LITTLE_MEMORY:
        yield Found("Memory", WARNING, f"{said}: enough for frozen trunks", cure)
    else:
        yield Found("Memory", OK, said)


def _memory() -> tuple[float | None, float]:
    """Bytes free and in all, of the container where that has less."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None, 0
    facts = {
        name: int(rest.split()[0]) * 1024 for name, _, rest in (x.partition(":") for x in lines)
    }
    free, total = facts["MemAvailable"], facts["MemTotal"]
    try:
        here = Path("/sys/fs/cgroup")
        most = int((here / "memory.max").read_text(encoding="ascii"))
        used = int((here / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or one without a limit
        return free, total
    return min(free, max(most - used, 0)), min(total, most)


def disk() -> Iterator[Found]:
    """What is free where runs and the cache lie."""
    from cxrkeras.training.stages.cache import cache_folder

    for name, folder in (("Disk, here", Path.cwd()), ("Disk, cache", cache_folder().absolute())):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        free = shutil.disk_usage(there).free
        said = f"{free / GB:.1f} GB free"
        cure = "Make room, or work on another disk (CXRKERAS_CACHE moves the cache)."
        state = FAULT if free < NO_DISK else WARNING if free < LITTLE_DISK else OK
        yield Found(name, state, said, "" if state == OK else cure)
