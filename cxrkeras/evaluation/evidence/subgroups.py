"""How well a model ranks in each group of patients: AUROC by sex, age and view."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.evaluation.compare.intervals import LEVEL, resample
from cxrkeras.evaluation.compare.resampling import sampling_units
from cxrkeras.evaluation.scores.predictions import Predictions
from data_prep.tables.table import read_table

AGES = {"under 40": (0, 40), "40 to 59": (40, 60), "60 and over": (60, np.inf)}
SEXES = {"F": "female", "M": "male", "O": "other"}
FEWEST = 5
"""A group of fewer patients isn't told of, nor the age of fewer than four times as many."""


@dataclass(frozen=True)
class Subgroup:
    """A part of the images, and the macro AUROC in it.

    Args:
        what: `sex`, `age` or `view`.
        name: e.g. `female`.
        images: how many.
        labels: over how many labels the mean goes; the others lack a positive or a negative here.
        auroc: the mean, None where there is no such label.
        low, high: its 95 % interval, None if there is none.
    """

    what: str
    name: str
    images: int
    labels: int
    auroc: float | None
    low: float | None
    high: float | None


def subgroups(predictions: Predictions, manifest: Path) -> list[Subgroup]:
    """Macro AUROC by sex, age and view, with intervals from resamples of patients.

    The means of two groups may be over different labels, so they compare only roughly.

    Args:
        predictions: out of fold, or of a test set.
        manifest: of the prepared dataset.

    Returns:
        The groups of at least `FEWEST` patients that the manifest distinguishes, if there are at
        least two of a kind.
    """
    unit = sampling_units(predictions.images, predictions.patients)
    return [
        _score(predictions, what, name, rows)
        for what, masks in masks_of(rows_of(predictions, manifest), unit).items()
        for name, rows in masks.items()
    ]


def rows_of(predictions: Predictions, manifest: Path) -> pd.DataFrame:
    """The films' rows of a prepared dataset's manifest, in their order; "" where it has none."""
    table = read_table(manifest).set_index("image").reindex(list(predictions.images))
    return table.fillna("").reset_index(drop=True)


def masks_of(table: pd.DataFrame, unit: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """{what: {group: (N,) bool}} of `rows_of`: groups of at least `FEWEST` patients (`unit`, (N,)
    int), where there are at least two of a kind.
    """
    found = {}
    for what, masks in _kinds(table):
        told = {n: rows for n, rows in masks.items() if len(np.unique(unit[rows])) >= FEWEST}
        if len(told) > 1:
            found[what] = told
    return found


def _kinds(table: pd.DataFrame) -> Iterator[tuple[str, Mapping[str, np.ndarray]]]:
    if "sex" in table:
        yield "sex", {name: (table["sex"] == code).to_numpy() for code, name in SEXES.items()}
    if "age" in table:
        age = pd.to_numeric(table["age"], errors="coerce").to_numpy()
        yield "age", {name: (age >= low) & (age < high) for name, (low, high) in AGES.items()}
    if "view" in table:
        views = sorted(set(table["view"]) - {""})
        yield "view", {view: (table["view"] == view).to_numpy() for view in views}


def _score(predictions: Predictions, what: str, name: str, rows: np.ndarray) -> Subgroup:
    images = np.array(predictions.images)[rows]
    unit = sampling_units(tuple(images), tuple(np.array(predictions.patients)[rows]))
    names = predictions.labels
    drawn = resample(predictions.truth[rows], [predictions.prob[rows]], unit, names)["auroc"]
    macro = drawn.of_macro(0, LEVEL)
    labels = int(np.isfinite(drawn.value[0][drawn.counted]).sum())
    return Subgroup(what, name, len(images), labels, macro["value"], macro["low"], macro["high"])
