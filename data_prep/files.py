"""Writing files so that a run killed at any moment leaves either the old file or the new one."""

import json
import os
from pathlib import Path


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` in one step: a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write_text(path: Path, content: str) -> None:
    """Write `content` as UTF-8 with `\\n` line ends; see `atomic_write_bytes`."""
    atomic_write_bytes(path, content.encode("utf-8"))


def atomic_write_json(path: Path, content: object) -> None:
    """Write `content` as indented JSON; NaN is refused, since JSON has none (use None)."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    atomic_write_text(path, text + "\n")
