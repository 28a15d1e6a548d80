"""How well a model does on images that it hasn't seen, for its model card."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from cxrkeras.evaluation.compare.intervals import LEVEL, resample
from cxrkeras.evaluation.compare.resampling import sampling_units
from cxrkeras.evaluation.compare.uncertainty import SCORES
from cxrkeras.evaluation.evidence.doubts import constant_predictions
from cxrkeras.evaluation.evidence.settings import data_of
from cxrkeras.evaluation.evidence.subgroups import subgroups
from cxrkeras.evaluation.run_folder import FoldFolder, RunFolder
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions

HELD_OUT = "On the held-out test set"
OUT_OF_FOLD = "Out of fold: each image scored by the one model that hadn't seen its patient"


def performance(predictions: Predictions, data: Path | None, how: str) -> dict:
    """Scores with intervals, by label and by group of patients.

    Args:
        predictions: of images that the model that predicted them hasn't seen.
        data: the prepared dataset, which has sex, age and view; or None.
        how: what was scored, in words.

    Returns:
        JSON-ready `how`, `level` (of the intervals), `images`, `patients`; `per_label` {label: `n`,
        `positives`, and `auroc` and `average_precision`, each {value, low, high}}; `macro`, {the
        same two}; `constant_predictions`, see `doubts`; and `subgroups`, a list of `Subgroup`s.
        What is undefined is None.
    """
    unit = sampling_units(predictions.images, predictions.patients)
    drawn = resample(predictions.truth, [predictions.prob], unit, predictions.labels)
    per_label = {
        label: {
            "n": int(np.isfinite(predictions.truth[:, k]).sum()),
            "positives": int((predictions.truth[:, k] == 1).sum()),
            **{score: drawn[score].of_label(0, k, LEVEL) for score in SCORES},
        }
        for k, label in enumerate(predictions.labels)
    }
    manifest = data and data / "manifest.csv"
    groups = subgroups(predictions, manifest) if manifest and manifest.is_file() else []
    return {
        "how": how,
        "level": LEVEL,
        "images": len(predictions.images),
        "patients": len(set(predictions.patients) - {""}),
        "per_label": per_label,
        "macro": {score: drawn[score].of_macro(0, LEVEL) for score in SCORES},
        "constant_predictions": constant_predictions(
            predictions.prob, predictions.labels, predictions.folds
        ),
        "subgroups": [asdict(group) for group in groups],
    }


def run_performance(run: Path) -> dict:
    """Performance of a finished run: on its held-out test set if it has one, else out of fold.

    Raises:
        UserError: its predictions can't be read.
    """
    test = RunFolder(run).test_predictions
    if test.is_file():
        how = f"{HELD_OUT}, scored by all folds' models together, as they are here"
        return performance(read_predictions(test), data_of(run), how)
    return out_of_fold_performance(run, OUT_OF_FOLD)


def out_of_fold_performance(run: Path, how: str) -> dict:
    """Performance from a finished run's `predictions.csv`; errors as in `run_performance`."""
    return performance(read_predictions(RunFolder(run).predictions), data_of(run), how)


def fold_performance(folder: Path) -> dict | None:
    """Performance of a run's model `RUN/folds/K` on its own fold; None for other folders."""
    own = FoldFolder(folder).predictions
    if not own.is_file():
        return None
    how = "On the fold of the cross-validation that this model hasn't seen"
    return performance(read_predictions(own), data_of(folder.resolve().parents[1]), how)


def in_words(found: Mapping) -> str:
    """The macro AUROC of a `performance`, then how it was measured."""
    value, low, high = (found["macro"]["auroc"][name] for name in ("value", "low", "high"))
    if value is None:
        return f"No AUROC: no label has both classes. {found['how']}."
    interval = "" if low is None else f" ({low:.3f} to {high:.3f})"
    return f"Macro AUROC {value:.3f}{interval}. {found['how']}."
