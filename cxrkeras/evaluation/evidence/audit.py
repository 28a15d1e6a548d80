"""Checks the folds: no patient in two of them, and every label spread evenly."""

import numpy as np
import pandas as pd

from cxrkeras.evaluation.scores.predictions import TEST_FOLD, Predictions


def audit_folds(folds: pd.DataFrame, predictions: Predictions, test: Predictions | None) -> dict:
    """Count images, patients and positives per fold, and look for patients in two folds.

    Args:
        folds: the columns `image`, `patient`, `fold` of `folds.csv`, as text.
        predictions: the out-of-fold predictions, which know the labels.
        test: the held-out test set's, or None.

    Returns:
        `parts` [{fold, images, patients, positives {label: count}}], `patients_in_several_folds`,
        `images_without_patient`, `images_not_predicted`, and `largest_deviation` {label, fold,
        count, even}: where a label's count in a fold lies farthest from its share.
    """
    truth = pd.DataFrame(predictions.truth == 1, index=predictions.images)
    if test is not None:
        truth = pd.concat([truth, pd.DataFrame(test.truth == 1, index=test.images)])
    positives = truth.reindex(folds["image"], fill_value=False)
    known = folds[folds["patient"] != ""]
    return {
        "parts": [
            _part(name, folds, positives, predictions.labels)
            for name in sorted(set(folds["fold"]), key=lambda k: (k == TEST_FOLD, len(k), k))
        ],
        "patients_in_several_folds": int((known.groupby("patient")["fold"].nunique() > 1).sum()),
        "images_without_patient": len(folds) - len(known),
        "images_not_predicted": len(set(folds["image"]) - set(truth.index)),
        "largest_deviation": _largest_deviation(folds, positives, predictions.labels),
    }


def _part(name: str, folds: pd.DataFrame, positives: pd.DataFrame, labels: tuple[str, ...]) -> dict:
    rows = (folds["fold"] == name).to_numpy()
    counts = positives[rows].sum().tolist()
    return {
        "fold": name,
        "images": int(rows.sum()),
        "patients": len(set(folds["patient"][rows]) - {""}),
        "positives": {label: int(n) for label, n in zip(labels, counts, strict=True)},
    }


def _largest_deviation(folds: pd.DataFrame, positives: pd.DataFrame, labels) -> dict | None:
    trained = (folds["fold"] != TEST_FOLD).to_numpy()
    counts = positives[trained].groupby(folds["fold"][trained].to_numpy()).sum()
    if counts.empty:
        return None
    even = counts.sum() / len(counts)
    off = (counts - even).abs()
    row, column = np.unravel_index(np.argmax(off.to_numpy()), off.shape)
    return {
        "label": labels[column],
        "fold": str(counts.index[row]),
        "count": int(counts.iloc[row, column]),
        "even": float(even.iloc[column]),
    }
