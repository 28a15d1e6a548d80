"""How far the scores of a run's trainings lie apart that differ in their seed alone."""

from pathlib import Path

import numpy as np

from cxrkeras.evaluation.compare.uncertainty import SCORES
from cxrkeras.evaluation.run_folder import RunFolder
from data_prep.files import read_json


def spread_of_trainings(run: Path) -> dict:
    """The macro scores, pooled out of fold, of each training of a run with several seeds.

    Returns:
        `trainings` [{seed, auroc, average_precision}], and for both scores {`mean`, `sd` (ddof=1),
        `min`, `max`}, None where no label has the score. Empty for a run with one.
    """
    found = {seed: read_json(own.metrics) for seed, own in RunFolder(run).trainings.items()}
    if not found:
        return {}
    each = [
        {"seed": seed, **{score: one["macro"]["pooled"][score] for score in SCORES}}
        for seed, one in found.items()
    ]
    return {"trainings": each, **{s: _spread([one[s] for one in each]) for s in SCORES}}


def _spread(values: list[float | None]) -> dict[str, float] | None:
    if None in values:
        return None
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "sd": sd, "min": min(values), "max": max(values)}


def in_words(spread: dict) -> str:
    """`Over 3 trainings, each by itself: macro AUROC 0.612 ± 0.004 (0.608 to 0.616), …`."""
    names = {"auroc": "macro AUROC", "average_precision": "average precision"}
    parts = [
        f"{names[score]} {found['mean']:.3f} ± {found['sd']:.3f} "
        f"({found['min']:.3f} to {found['max']:.3f})"
        for score in SCORES
        if (found := spread[score])
    ]
    return (
        f"Over {len(spread['trainings'])} trainings, each by itself: {', '.join(parts) or 'none'}"
    )
