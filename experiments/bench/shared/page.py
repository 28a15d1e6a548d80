"""`docs/performance.md`: a section for each measurement, with its machine and versions."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from experiments.bench.shared.row import Row
from experiments.bench.shared.stand import ROOT

HEAD = """# Performance

`python -m experiments.bench` measures everything here and writes this page; with names, only their
sections. The sides of a row take turns in one run. Figures are the median of the repeats and their
range; a ratio is ours over the peer's in the same repeat, and what is wanted is wanted of the
ratio's median, or of ours where there is no peer.
"""
COLUMNS = ("work", "cxrkeras", "against", "ratio", "wanted")
_MARK = re.compile(r"^<!-- (\S+ (?:cpu|gpu)) -->\n", re.MULTILINE)


def section(title: str, about: str, rows: Sequence[Row], foot: str) -> str:
    """Heading, what is measured, table, notes, and how it was measured."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(row.cells() for row in rows)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    notes = dict.fromkeys(row.note for row in rows if row.note)
    return "\n\n".join([f"## {title}", about, table, *notes, foot]) + "\n"


def put(page: Path, sections: Mapping[str, str]) -> None:
    """Put sections into the page, in place of their earlier selves; the others stay.

    Args:
        page: the file, which may not exist.
        sections: {`NAME DEVICE`: text}.
    """
    known = page.read_text(encoding="utf-8") if page.exists() else ""
    parts = _MARK.split(known)[1:]
    kept = dict(zip(parts[::2], (text.strip("\n") + "\n" for text in parts[1::2]), strict=True))
    kept |= sections
    body = [f"<!-- {key} -->\n{kept[key]}" for key in sorted(kept)]
    page.write_text("\n".join([HEAD, *body]), encoding="utf-8")


def machine(device: str) -> str:
    """Processor, cores, memory and, for `gpu`, what CUDA device there is."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (found := re.search(r"model name\s*: (.+)", cpuinfo.read_text())):
        name = found[1]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    words = [f"{cores} cores of {name}", f"{memory:.0f} GB"]
    if device == "gpu":
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        done = subprocess.run(query, check=True, capture_output=True, text=True)
        words.append(done.stdout.strip().replace(", ", ", driver ").replace("\n", "; "))
    return ", ".join(words)


def foot(command: str, device: str, load: float, peers: str) -> str:
    """Command, machine, versions, date and commit, and how busy the machine was before."""
    ours = ["keras", "jax" if device == "gpu" else "tensorflow", "numpy", "pillow"]
    versions = ", ".join(
        [f"Python {platform.python_version()}", *(f"{n} {version(n)}" for n in ours)]
    )
    beside = f"; the peer has {peers}" if peers else ""
    now = datetime.now(UTC)
    return (
        f"`{command}`: {machine(device)} (load {load:.1f} before); {versions}{beside}; "
        f"{now.day} {now:%B %Y}, commit {_commit()}."
    )


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":!docs")
    return (git("rev-parse", "--short=10", "HEAD") or "unknown") + ("+" if changed else "")
