"""Which runs a folder holds, how far they are and what they scored: from small files alone.

Nothing here imports Keras, pandas or NumPy, so that fifty runs are listed at once.
"""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cxrkeras.evaluation.evidence.settings import run_settings
from cxrkeras.evaluation.run_folder import RunFolder
from data_prep.errors import UserError

COLUMNS = (
    "run", "folder", "date", "finished", "progress", "folds_done", "folds", "duration", "device",
    "commit", "method", "backbone", "recipe", "source", "data", "auroc", "auroc_low", "auroc_high",
)  # fmt: skip
"""What is known of a run."""

_DEPTH = 4
_END = 4096  # bytes of a log in which its last epoch stands
_EPOCH = re.compile(r"^\S+ (?:.* \| )?([^|]*, epoch \d+/\d+):", re.MULTILINE)


def list_runs(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The runs below a folder, or that it is itself, the newest first: `COLUMNS`, as JSON.

    Raises:
        UserError: there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(
            f"FOLDER must be one that holds runs of `cxrkeras cv`. Received: {folder}, which isn't "
            "a folder."
        )
    found = [facts_of(run, root) for run in _below(root, _DEPTH)]
    return sorted(found, key=lambda facts: facts["date"] or "", reverse=True)


def facts_of(run: Path, root: Path | None = None) -> dict[str, Any]:
    """What is known of one run; what isn't is None.

    Args:
        run: its folder.
        root: the folder in which its name is its place.

    Raises:
        UserError: it isn't a run.
    """
    own = RunFolder(run)
    if not own.experiment.is_file():
        raise UserError(f"RUN must be a run folder of `cxrkeras cv`. Received: {run}.")
    settings, environment = run_settings(run), _read(own.environment)
    starts = _starts(environment) or [{}]
    done = _finished_folds(own)
    ended = own.metrics.is_file() and ("finished" in environment or "starts" not in environment)
    folds = len(done) if ended else _folds(own, settings)
    finished = ended and bool(done)
    name = run.name if root is None or run == root else run.relative_to(root).as_posix()
    return {
        "run": name or run.absolute().name,
        "folder": str(run.absolute()),
        "date": _text(starts[0].get("at")) or _changed(own.experiment),
        "finished": finished,
        "progress": "finished" if finished else _progress(own, len(done), folds),
        "folds_done": len(done),
        "folds": folds,
        "duration": _duration(environment, starts, done),
        "device": _device(starts),
        "commit": _text(starts[-1].get("commit")),
        "method": _text(settings.get("method")),
        "backbone": _joined(settings.get("backbone")),
        "recipe": _text(settings.get("recipe")),
        "source": _joined(settings.get("source")),
        "data": _text(settings.get("data")),
        **(_scores(own) if finished else dict.fromkeys(("auroc", "auroc_low", "auroc_high"))),
    }


def as_text(value: Any) -> str:
    """A setting for people."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not given" if value is None else str(value)


def _below(folder: Path, depth: int) -> Iterator[Path]:
    if RunFolder(folder).experiment.is_file():
        yield folder
        return  # what lies in a run is its own
    if not depth or (folder / "dataset.json").is_file():
        return
    try:
        inner = sorted(one.name for one in os.scandir(folder) if one.is_dir(follow_symlinks=False))
    except OSError:
        return
    for name in inner:
        if not name.startswith("."):
            yield from _below(folder / name, depth - 1)


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _finished_folds(own: RunFolder) -> list[Path]:
    return sorted(fold.facts for fold in own.finished_folds())


def _folds(own: RunFolder, settings: Mapping[str, Any]) -> int | None:
    """How many there are to fit."""
    if not settings.get("folds_file"):
        return settings.get("folds")
    try:
        lines = own.fold_table.read_text(encoding="utf-8").splitlines()[1:]
    except (OSError, ValueError):
        return None
    return len({line.rpartition(",")[2] for line in lines} - {"test"})


def _progress(own: RunFolder, done: int, folds: int | None) -> str:
    """`2 of 5 folds; fold 3/5, epoch 7/30, 4 min ago`."""
    told = f"{done} of {folds} folds" if folds else f"{done} folds"
    try:
        with own.train_log.open("rb") as file:
            file.seek(max(0, own.train_log.stat().st_size - _END))
            end = file.read().decode("utf-8", "replace")
        silent = time.time() - own.train_log.stat().st_mtime
    except OSError:
        return told
    epochs = _EPOCH.findall(end)
    return f"{told}; {f'{epochs[-1]}, ' if epochs else ''}{ago(silent)}"


def ago(seconds: float) -> str:
    """`12 s ago`, `4 min ago`, `3 h ago`, `5 days ago`."""
    for unit, length, limit in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < limit * length:
            return f"{max(0, seconds) / length:.0f} {unit} ago"
    return f"{seconds / 86400:.0f} days ago"


def _duration(environment: Mapping, starts: list[dict], done: list[Path]) -> float | None:
    """Seconds: from start to end, or of a run that was resumed, what its folds took."""
    if len(starts) == 1 and "finished" in environment and "at" in starts[0]:
        ends = (environment["finished"], starts[0]["at"])
        with suppress(TypeError, ValueError):  # somebody has changed the file
            finished, began = map(datetime.fromisoformat, ends)
            return (finished - began).total_seconds()
    seconds = [_read(path).get("seconds") for path in done]
    known = [one for one in seconds if isinstance(one, int | float)]
    return round(sum(known), 1) if known else None


def _device(starts: list[dict]) -> str | None:
    """The last start's that says it: `NVIDIA H200`, `2 x NVIDIA A100`."""
    noted = (start.get("devices") for start in reversed(starts))
    kinds = next((list(map(str, one)) for one in noted if one and isinstance(one, list)), [])
    counted = {kind: kinds.count(kind) for kind in kinds}
    told = [kind if count == 1 else f"{count} x {kind}" for kind, count in counted.items()]
    return ", ".join(told) or None


def _scores(own: RunFolder) -> dict[str, float | None]:
    pooled = _inner(_inner(_read(own.metrics), "macro"), "pooled")
    interval = _inner(pooled, "auroc_interval")
    scores = (pooled.get("auroc"), interval.get("low"), interval.get("high"))
    known = [one if isinstance(one, int | float) else None for one in scores]
    return dict(zip(("auroc", "auroc_low", "auroc_high"), known, strict=True))


def _inner(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object in a JSON object; empty if there is none."""
    inner = found.get(name)
    return inner if isinstance(inner, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _starts(environment: Mapping[str, Any]) -> list[dict]:
    found = environment.get("starts")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _changed(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")


def _joined(value: Any) -> str | None:
    return " + ".join(map(str, value)) if isinstance(value, list) else _text(value)
