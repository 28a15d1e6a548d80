"""One run in full, and the settings in which several differ."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cxrkeras.evaluation.evidence.settings import run_settings
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.listing import facts_of
from data_prep.files import read_json

_LINES = 5  # of a log


def shown(run: Path) -> dict[str, Any]:
    """A run as JSON: `run` (`listing.COLUMNS`), `settings` that aren't defaults, `starts`, the
    `labels`' AUROC, and the last lines of its `log`.

    Raises:
        UserError: it isn't a run.
    """
    facts, own = facts_of(run), RunFolder(run)
    settings, usual = run_settings(run), _defaults()
    environment = _json(own.environment)
    labels = _json(own.metrics).get("per_label", {}) if facts["finished"] else {}
    return {
        "run": facts,
        "settings": {n: v for n, v in settings.items() if n not in usual or v != usual[n]},
        "starts": environment.get("starts", []),
        "labels": {label: _scores(of["pooled"]) for label, of in labels.items()},
        "log": _end(own.train_log),
    }


def compared(runs: Sequence[Path]) -> dict[str, Any]:
    """Several runs as JSON: `runs` (`listing.COLUMNS` of each), settings that `differ`, with a
    value per run, and whether they have the `same_folds`.

    Raises:
        UserError: one isn't a run.
    """
    facts = [facts_of(run) for run in runs]
    settings = [_defaults() | run_settings(run) for run in runs]
    names = dict.fromkeys(name for one in settings for name in one)
    values = {name: [one.get(name) for one in settings] for name in names}
    folds = [_bytes(RunFolder(run).fold_table) for run in runs]
    return {
        "runs": facts,
        "differ": {name: v for name, v in values.items() if any(one != v[0] for one in v)},
        "same_folds": folds[0] is not None and all(one == folds[0] for one in folds),
    }


def _defaults() -> dict[str, Any]:
    """What runs by earlier versions don't say."""
    return Experiment().model_dump(mode="json")


def _scores(pooled: dict[str, Any]) -> dict[str, Any]:
    interval = pooled.get("auroc_interval") or {}
    return {
        "auroc": pooled.get("auroc"),
        "auroc_low": interval.get("low"),
        "auroc_high": interval.get("high"),
        "positives": pooled.get("positives"),
    }


def _json(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return {}


def _end(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES:]
    except OSError:
        return []


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
