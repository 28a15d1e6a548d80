"""Predictions that are 0/1 decisions: they rank nothing, but have sensitivity and specificity.

The AUROC of decisions is the mean of sensitivity and specificity at the one threshold that somebody
chose. Beside the AUROC of scores it misleads, so it is left out.
"""

from collections.abc import Mapping

import numpy as np

from cxrkeras.evaluation.compare.resampling import sampling_units
from cxrkeras.evaluation.scores.predictions import Predictions
from cxrkeras.evaluation.scores.shares import share_of

SHARES = ("sensitivity", "specificity")


def decided(prob: np.ndarray) -> list[int]:
    """The columns of (N, K) scores that hold nothing but 0 and 1."""
    return [k for k in range(prob.shape[1]) if np.isin(prob[:, k], (0, 1)).all()]


def score_decisions(predictions: Predictions) -> dict[str, dict] | None:
    """What decisions achieve, label by label.

    Returns:
        {label: `positives`, `negatives`, `found` (true positives), `cleared` (true negatives),
        and `sensitivity` and `specificity`, {value, low, high} each}, JSON-ready; the
        intervals are Wilson's on the number of images that patients' likeness leaves. None as a
        value where there is no such image. None where every label has scores.
    """
    unit = sampling_units(predictions.images, predictions.patients)
    columns = decided(predictions.prob)
    return {
        predictions.labels[k]: _label(predictions.truth[:, k], predictions.prob[:, k], unit)
        for k in columns
    } or None


def _label(truth: np.ndarray, decision: np.ndarray, unit: np.ndarray) -> dict:
    positive, negative = truth == 1, truth == 0
    found, cleared = decision[positive] == 1, decision[negative] == 0
    return {
        "positives": len(found),
        "negatives": len(cleared),
        "found": int(found.sum()),
        "cleared": int(cleared.sum()),
        "sensitivity": share_of(found, unit[positive]),
        "specificity": share_of(cleared, unit[negative]),
    }


def means(decisions: Mapping[str, Mapping]) -> dict[str, float | None]:
    """{share: its mean over the labels that have it}, of what `score_decisions` gave."""
    found = {share: [part[share]["value"] for part in decisions.values()] for share in SHARES}
    known = {share: [v for v in values if v is not None] for share, values in found.items()}
    return {share: float(np.mean(values)) if values else None for share, values in known.items()}


def headline(decisions: Mapping[str, Mapping]) -> str:
    """The means in words."""
    known = {share: value for share, value in means(decisions).items() if value is not None}
    told = [f"{share} {value:.3f}" for share, value in known.items()]
    over = f"{len(decisions)} label" + ("" if len(decisions) == 1 else "s")
    return f"0/1 decisions: mean {' and '.join(told) or 'not known'} over {over}"
