"""How much of a run's score needs no lungs: shortcut baselines on its own folds."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from cxrkeras.evaluation.compare.compare import compare_predictions
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions
from cxrkeras.registry import SHORTCUTS
from data_prep.errors import UserError
from data_prep.files import atomic_write_text
from data_prep.progress import Steps
from data_prep.tables.table import read_table

FORMAT = 1
STRENGTH = 0.01
"""C of the logistic regression on standardised features, fixed: nothing is tuned."""
_RUN = "run"


def measure_shortcuts(run: Path, dataset: Path) -> dict:
    """Fit every shortcut baseline on a run's folds, and write `shortcuts.json` into the run.

    For each fold and label a logistic regression (L2, C = `STRENGTH`, on standardised features)
    learns from the other folds' known labels and scores the fold's images, as the run's own models
    do. Images of the test set take no part.

    Args:
        run: a folder with `predictions.csv`, as `cv` writes it.
        dataset: the prepared dataset that it was made from.

    Returns:
        What `shortcuts.json` holds: `format`, `predictions` (digest of those that it was made
        from), `images`, and `shortcuts` {text: {`what`, `features`, `auroc` and `average_precision`
        {value, low, high}, `below` {score: {value, low, high, p, p_holm}}: its macro score minus
        the run's}}.

    Raises:
        UserError: the run has fewer than two folds, or the dataset isn't the run's.
    """
    predictions = read_predictions(RunFolder(run).predictions)
    named, columns = shortcut_predictions(run, dataset)
    named = {_RUN: predictions, **named}
    found = compare_predictions(named, reference=_RUN)
    told = {
        "format": FORMAT,
        "predictions": _digest(RunFolder(run).predictions),
        "images": len(predictions.images),
        "shortcuts": {
            part["run"]: {
                "what": SHORTCUTS.about(part["run"]).line,
                "features": columns[part["run"]],
                **{score: found["runs"][part["run"]][score] for score in _SCORES},
                "below": {score: part[score] for score in _SCORES},
            }
            for part in found["differences"]
        },
    }
    atomic_write_text(RunFolder(run).shortcuts, json.dumps(told, indent=1) + "\n")
    return told


def shortcut_predictions(run: Path, dataset: Path) -> tuple[dict[str, Predictions], dict[str, int]]:
    """What every shortcut baseline answers, out of fold, on a run's folds.

    Args and errors are those of `measure_shortcuts`.

    Returns:
        {text: predictions}, and {text: the number of features that it learns from}; shortcuts that
        find nothing in the dataset are left out.
    """
    path = RunFolder(run).predictions
    predictions = read_predictions(path)
    folds = np.array(predictions.folds)
    if len(set(folds)) < 2:
        raise UserError(
            f"Shortcuts are fitted on a run's folds. {path} has {len(set(folds))}. Give a run of "
            "cxrkeras cv."
        )
    rows = _rows(dataset, predictions)
    parts = [SHORTCUTS.make(name) for name in SHORTCUTS.names()]
    known = {str(part): part.features(dataset, rows) for part in parts}
    known = {text: features for text, features in known.items() if features.shape[1]}
    with Steps("shortcuts", len(known) * len(set(folds)) * len(predictions.labels)) as steps:
        named = {
            text: replace(
                predictions,
                prob=_out_of_fold(f, predictions.truth, folds, steps),
                ranks_only=False,
            )
            for text, f in known.items()
        }
    return named, {text: features.shape[1] for text, features in known.items()}


_SCORES = ("auroc", "average_precision")


def read_shortcuts(run: Path) -> dict | None:
    """What `measure_shortcuts` wrote; None where it wasn't, or for other predictions than now."""
    try:
        told = json.loads(RunFolder(run).shortcuts.read_text("utf-8"))
        current = told["format"] == FORMAT
        current = current and told["predictions"] == _digest(RunFolder(run).predictions)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return told if current else None


def _rows(dataset: Path, predictions: Predictions):
    table = read_table(dataset / "manifest.csv")
    rows = table.set_index("image", drop=False).reindex(list(predictions.images))
    if missing := int(rows["image"].isna().sum()):
        raise UserError(
            f"{dataset} lacks {missing} of the run's {len(rows)} images. Give the dataset that the "
            "run was made from as --data."
        )
    return rows.fillna("")


def _out_of_fold(
    features: np.ndarray, truth: np.ndarray, folds: np.ndarray, steps: Steps
) -> np.ndarray:
    """(N, K) probabilities of images from regressions that haven't seen their fold."""
    from sklearn.linear_model import LogisticRegression

    scores = np.empty(truth.shape)
    for fold in sorted(set(folds)):
        held = folds == fold
        mean, spread = features[~held].mean(axis=0), features[~held].std(axis=0)
        standard = (features - mean) / np.where(spread > 0, spread, 1.0)
        for k in range(truth.shape[1]):
            learn = ~held & np.isfinite(truth[:, k])
            y = truth[learn, k]
            if len(set(y)) < 2:
                scores[held, k] = y.mean() if len(y) else 0.5
            else:
                model = LogisticRegression(C=STRENGTH, max_iter=1000).fit(standard[learn], y)
                scores[held, k] = model.predict_proba(standard[held])[:, 1]
            steps.step()
    return scores


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
