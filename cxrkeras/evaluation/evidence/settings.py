"""A run folder's settings, read without being checked."""

import tomllib
from pathlib import Path

from cxrkeras.evaluation.run_folder import RunFolder


def run_settings(run: Path) -> dict:
    """The keys of a run's `experiment.toml`; empty if it can't be read."""
    try:
        return tomllib.loads(RunFolder(run).experiment.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}


def data_of(run: Path) -> Path | None:
    """The prepared dataset with which a run was made; None if it doesn't say."""
    data = run_settings(run).get("data")
    return Path(data) if isinstance(data, str) and data else None
