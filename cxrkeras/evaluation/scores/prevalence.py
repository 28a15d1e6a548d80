"""Prevalences from a file, for thresholds that don't come from the labels being scored."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cxrkeras.data.distortion import Factor
from data_prep.errors import UserError
from data_prep.files import read_json
from data_prep.tables.table import read_table

_SHAPE = 'Give a CSV with label,prevalence[,inflation] or a JSON such as {"Effusion": 0.12}.'


def read_prevalence(path: Path, labels: Sequence[str]) -> dict:
    """Read the prevalence, and the loss's inflation where given, of each label.

    Args:
        path: a CSV with the columns `label`, `prevalence` and perhaps `inflation`; or a JSON,
            either {label: prevalence} or a run's `fold.json` (`training_prevalence`, `inflation`).
        labels: the K names wanted, spelled as in the file; others in it are left out.

    Returns:
        `prevalence`, (K,) float64, and `distortion`: by an inflation of 1 where none is given, and
        None where a `fold.json` has none, whose loss's isn't known.

    Raises:
        UserError: the file doesn't have that shape, a label is missing, or a value is out of range.
    """
    prevalence, inflation = _from_json(path) if path.suffix == ".json" else _from_table(path)
    known = inflation is not None
    missing = [name for name in labels if name not in prevalence]
    if missing:
        raise UserError(f"{path.name} has no prevalence of {', '.join(missing)}. Add it. {_SHAPE}")
    try:
        values = np.array([prevalence[name] for name in labels], dtype=np.float64)
        factors = [(inflation or {}).get(name, 1.0) for name in labels]
        factors = np.array(factors, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{path.name} holds something other than numbers. {_SHAPE}") from None
    if not np.all((values >= 0) & (values <= 1)):
        raise UserError(f"Prevalences must lie in [0, 1]; {path.name} holds others. {_SHAPE}")
    if not np.all((factors > 0) & np.isfinite(factors)):
        raise UserError(f"Inflations must be positive; {path.name} holds others. {_SHAPE}")
    return {"prevalence": values, "distortion": Factor(factors) if known else None}


def _from_json(path: Path) -> tuple[Mapping, Mapping | None]:
    try:
        content = read_json(path)
    except (OSError, ValueError):
        raise UserError(f"{path} can't be read as JSON. {_SHAPE}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path.name} isn't one object of names and numbers. {_SHAPE}")
    of_a_fold = "training_prevalence" in content
    parts = content.get("training_prevalence", content), content.get("inflation")
    if parts[1] is None and not of_a_fold:
        parts = parts[0], {}
    if not isinstance(parts[0], dict) or not isinstance(parts[1], dict | None):
        raise UserError(f"{path.name} isn't one object of names and numbers. {_SHAPE}")
    return parts


def _from_table(path: Path) -> tuple[Mapping, Mapping]:
    table = read_table(path)
    if not {"label", "prevalence"} <= set(table.columns):
        raise UserError(f"{path.name} lacks the columns label and prevalence. {_SHAPE}")
    inflation = dict(zip(table["label"], table.get("inflation", ""), strict=False))
    return (
        dict(zip(table["label"], table["prevalence"], strict=True)),
        {name: value for name, value in inflation.items() if value},
    )
