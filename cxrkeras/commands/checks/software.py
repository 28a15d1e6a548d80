"""Python, what Keras runs on, its devices, and the extras."""

import importlib.metadata
import platform
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from cxrkeras.commands.checks import FAULT, OK, WARNING, Found
from data_prep.errors import UserError

_NOT_FOR_USE = ("test", "docs")  # beginnings of extras for those who develop
_NAME = re.compile(r"([\w.-]+)\s*(?:\[([\w-]+)\])?")
_SYSTEM = re.compile(r"(sys_platform|platform_system)\s*==\s*[\"'](?i:linux)")
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w.-]+)["']""")


def python() -> Iterator[Found]:
    """Its version and whether it has 64 bits."""
    wanted = importlib.metadata.metadata("cxrkeras").get("Requires-Python", "")
    bits = 8 * struct.calcsize("P")
    said = f"{platform.python_version()}, {bits} bits, {platform.system()} {platform.machine()}"
    if not _within(sys.version_info[:2], wanted) or bits < 64:
        cure = f"Install Python {wanted} of 64 bits, and cxrkeras in it."
        yield Found("Python", FAULT, said, cure)
    else:
        yield Found("Python", OK, said)


def backend() -> Iterator[Found]:
    """What Keras runs on: it is imported and computes once, on its devices."""
    from cxrkeras import runtime

    try:
        name = runtime.backend()
        runtime.start()
    except UserError as error:
        yield Found("Backend", FAULT, str(error), "Do what that says.")
        return
    try:
        import keras
        import numpy as np

        total = float(np.asarray(keras.ops.sum(keras.ops.matmul(np.eye(3), np.eye(3)))))
    except Exception as error:  # a library that doesn't fit the machine may raise anything
        said = f"Keras can't compute on {name}: {type(error).__name__}"
        yield Found("Backend", FAULT, said, "Install cxrkeras again in a fresh environment.")
        return
    versions = ", ".join(
        f"{package} {importlib.metadata.version(package)}" for package in ("keras", name)
    )
    if total != 3:
        yield Found("Backend", FAULT, f"{versions}: computes wrongly", "Try another machine.")
        return
    yield Found("Backend", OK, versions)
    yield _devices()


def _devices() -> Found:
    from cxrkeras.runtime.backends import JAX
    from cxrkeras.runtime.backends import backend as chosen
    from cxrkeras.runtime.hardware import hardware

    about = hardware()
    kinds = ", ".join(map(str, about["devices"]))
    if about["driver"]:
        return Found("Devices", OK, f"{kinds}; driver {about['driver']}")
    if Path("/proc/driver/nvidia/version").is_file():
        extra = "jax[cuda12]" if chosen() == JAX else "cxrkeras[gpu]"
        said = f"{kinds}; there is an NVIDIA driver, but Keras sees no GPU"
        return Found("Devices", WARNING, said, f"pip install '{extra}'")
    return Found("Devices", OK, f"{kinds}; no GPU: `cxrkeras cv --preset cpu` is for that")


def extras() -> Iterator[Found]:
    """Which extras are complete. None is essential."""
    there, missing = [], []
    for extra in sorted(_extras()):
        (missing if any(map(_missing, _packages("cxrkeras", extra))) else there).append(extra)
    said = f"installed: {', '.join(there) or 'none'}"
    if missing:
        said += f"; not installed: pip install 'cxrkeras[{','.join(missing)}]', or some of them"
    yield Found("Extras", OK, said)


def _extras() -> list[str]:
    extras = importlib.metadata.metadata("cxrkeras").get_all("Provides-Extra") or ()
    return [extra for extra in extras if not extra.startswith(_NOT_FOR_USE)]


def _packages(package: str, extra: str) -> Iterator[str]:
    """The packages that a package's extra needs, as its own metadata say, extras of theirs too."""
    try:
        lines = importlib.metadata.requires(package) or ()
    except importlib.metadata.PackageNotFoundError:
        return
    for line in lines:
        found = _EXTRA.search(line)
        if not found or found[1] != extra or (_SYSTEM.search(line) and sys.platform != "linux"):
            continue
        name, inner = _NAME.match(line).groups()
        yield name
        if inner:
            yield from _packages(name, inner)


def _missing(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return True
    return False


def _within(version: tuple[int, ...], wanted: str) -> bool:
    """Whether a version such as (3, 12) fits `>=3.11,<3.14`."""
    for sign, text in re.findall(r"(>=|<)\s*([\d.]+)", wanted):
        bound = tuple(map(int, text.split(".")[:2]))
        if (sign == ">=" and version < bound) or (sign == "<" and version >= bound):
            return False
    return True
