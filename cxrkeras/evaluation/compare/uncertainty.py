"""One run's own scores with their intervals."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from cxrkeras.evaluation.compare.intervals import LEVEL, RESAMPLES, SEED, resample
from cxrkeras.evaluation.compare.resampling import drawn_words, sampling_units
from cxrkeras.evaluation.scores.predictions import Predictions

SCORES = ("auroc", "average_precision")


def with_intervals(scores: dict, predictions: Predictions, decided: Collection[int] = ()) -> dict:
    """Add the intervals of AUROC and average precision, macro and by label.

    Args:
        scores: what `metrics.evaluate` gave for these predictions.
        predictions: all in one set, or out of fold.
        decided: columns that have no such score (`decisions.decided`).

    Returns:
        `scores`, whose `pooled` parts of `macro`, `macro_all` where there is one, and each of
        `per_label` now also have `auroc_interval` and `average_precision_interval`, {low, high}, or
        None if there is none (`intervals.score_interval`); and `intervals` {level, resamples, seed,
        patients, units, drawn (of what, in words), undefined_resamples}, how they were made.
    """
    unit = sampling_units(predictions.images, predictions.patients)
    truth = predictions.truth.copy()
    truth[:, list(decided)] = np.nan
    drawn = resample(truth, [predictions.prob], unit, predictions.labels)
    for score in SCORES:
        found = drawn[score]
        parts = {name: found.of_label(0, k, LEVEL) for k, name in enumerate(predictions.labels)}
        for name, part in parts.items():
            scores["per_label"][name]["pooled"][f"{score}_interval"] = _bounds(part)
        means = {"macro": found, "macro_all": replace(found, counted=np.ones_like(found.counted))}
        for name in means.keys() & scores.keys():
            mean = means[name].of_macro(0, LEVEL)
            scores[name]["pooled"][f"{score}_interval"] = _bounds(mean)
    patients, units = len(set(predictions.patients) - {""}), int(unit.max()) + 1
    scores["intervals"] = {
        "level": LEVEL,
        "resamples": RESAMPLES,
        "seed": SEED,
        "patients": patients,
        "units": units,
        "drawn": drawn_words(patients, units),
        "undefined_resamples": drawn["auroc"].undefined(predictions.labels),
    }
    return scores


def _bounds(part: dict) -> dict | None:
    return None if part["low"] is None else {"low": part["low"], "high": part["high"]}
