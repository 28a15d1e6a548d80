"""The results of a study's finished cells, read from their run folders alone."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.evaluation.evidence.doubts import constant_features, doubts_of_scores
from cxrkeras.evaluation.report.history import read_histories
from cxrkeras.evaluation.run_folder import RunFolder
from data_prep.errors import UserError

RANKING = ("auroc", "average_precision")
CALLS = ("hamming_prevalence", "hamming_corrected")


@dataclass(frozen=True)
class Cell:
    """A cell of the grid, with its results if it is done.

    Args:
        name: of its run folder.
        setting: its row in the tables.
        backbone: the trunk.
        recipe: as the grid spells it.
        method: regular, mixed or cotrain.
        links: names of the sources, per `--source`.
        weights: what the weights links are.
        word: `done`, `begun`, `waiting`, `lacking` or `failed`.
        reason: why it failed.
        seconds: how long its runs took.
        results: as built by `_results`, or None.
        run: the run folder.
    """

    name: str
    setting: str
    backbone: str
    recipe: str
    method: str
    links: tuple[tuple[str, ...], ...]
    weights: tuple[str, ...]
    word: str
    reason: str
    seconds: float
    results: Mapping | None
    run: Path

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of all sources, in order, each listed once."""
        return tuple(dict.fromkeys(name for chain in self.links for name in chain))

    @property
    def is_single(self) -> bool:
        """Whether it uses a single source: a row of the source perspective."""
        return self.method == "regular" and len(self.sources) == 1

    @property
    def is_weights_alone(self) -> bool:
        """Whether it starts from trained weights and nothing else: ImageNet alone."""
        return self.is_single and len(self.weights) == 1


def read_cells(out: Path) -> tuple[str, list[Cell]]:
    """Read a study's title and its cells.

    Raises:
        UserError: `out` holds no study, or a finished run in it can't be read.
    """
    try:
        content = json.loads((out / "cells.json").read_text(encoding="utf-8"))
        return content["title"], [_cell(out, facts) for facts in content["cells"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"A study's tables are made from its cells.json and runs. {out} has none. Give a "
            "folder that `cxrkeras study` wrote."
        ) from None


def _cell(out: Path, facts: Mapping) -> Cell:
    done = facts["word"] == "done"
    run = out / "runs" / facts["name"]
    return Cell(
        **{key: facts[key] for key in ("name", "setting", "backbone", "recipe", "method")},
        links=tuple(map(tuple, facts["links"])),
        weights=tuple(facts["weights"]),
        **{key: facts[key] for key in ("word", "reason", "seconds")},
        results=_results(run) if done else None,
        run=run,
    )


def _results(run: Path) -> dict:
    metrics = json.loads(RunFolder(run).metrics.read_text(encoding="utf-8"))
    test = metrics["test"]
    return {
        "images": metrics["images"],
        "patients": metrics["patients"],
        "labels": metrics["labels"],
        "folds": len(metrics["folds"]),
        "training": _training(run),
        "doubts": doubts_of_scores(metrics)._asdict(),
        "features": constant_features(metrics.get("features") or {}),
        "out_of_fold": _part(metrics),
        "test": None if test is None else {"images": test["images"], **_part(test)},
        "fold_seconds": _fold_seconds(run),
        "stages": _stages(run),
    }


def _part(scores: Mapping) -> dict:
    """Ranking scores are macro means; scores that count entries are over all entries."""
    macro, micro = scores["macro"], scores["micro"]
    part = {name: macro["pooled"][name] for name in RANKING}
    part |= {name: micro["pooled"].get(name) for name in (*CALLS, "binary_accuracy", "mae")}
    part["random_average_precision"] = macro["pooled"]["prevalence"]
    part["prevalence"] = micro["pooled"]["prevalence"]
    part["all_negative_accuracy"] = micro["pooled"]["all_negative_accuracy"]
    if "over_folds" in macro:
        part["over_folds"] = {name: macro["over_folds"][name] for name in RANKING}
        part["over_folds"] |= {name: micro["over_folds"].get(name) for name in CALLS}
        part["per_fold"] = {
            name: [fold.get(name) for fold in kind["per_fold"]]
            for kind, names in ((macro, RANKING), (micro, CALLS))
            for name in names
        }
    return part


def _training(run: Path) -> dict:
    """Accuracy and error of each fold at the epoch whose weights were kept."""
    description = tomllib.loads(RunFolder(run).experiment.read_text(encoding="utf-8"))
    restored = bool(description.get("early_stopping"))
    histories = read_histories(RunFolder(run).folds).values()
    kept = [kept_epoch(table, restored=restored) for table in histories]
    return {
        **{
            name: _mean_sd([float(row.get(name, np.nan)) for row in kept])
            for name in ("binary_accuracy", "mae")
        },
        "epochs": [int(row["epoch"]) for row in kept],
    }


def kept_epoch(history: pd.DataFrame, *, restored: bool) -> pd.Series:
    """The row of the epoch with whose weights a fit ended.

    Args:
        history: of one fit; of one in several steps, the last counts.
        restored: whether early stopping was on. With a validation part, it restores the epoch of
            the smallest validation loss; of equals, the first. Otherwise the last epoch is kept.
    """
    if "step" in history:
        history = history[history["step"] == history["step"].iloc[-1]]
    if not restored or "val_loss" not in history or not history["val_loss"].notna().any():
        return history.iloc[-1]
    return history.loc[history["val_loss"].idxmin()]


def _fold_seconds(run: Path) -> list[float]:
    paths = sorted(fold.facts for fold in RunFolder(run).finished_folds())
    return [json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in paths]


def _stages(run: Path) -> dict[str, float | None]:
    """Seconds of each source stage, by its folder's name, which is the same in all cells."""
    stages = sorted(run.glob("stages/*/stage.json"))
    facts = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in stages}
    return {name: fact.get("seconds") for name, fact in facts.items()}


def _mean_sd(values: list[float]) -> dict:
    """Mean, sample standard deviation (None for one value), and number of values."""
    known = [value for value in values if np.isfinite(value)]
    return {
        "mean": float(np.mean(known)) if known else None,
        "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "folds": len(known),
    }
