"""Predictions per study: the highest over its views, as CheXpert is scored, or their mean.

Irvin et al., CheXpert, AAAI 2019.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from cxrkeras.evaluation.scores.predictions import Predictions
from data_prep.errors import UserError
from data_prep.readers.shared.chexpert_paths import Place, place_of
from data_prep.tables.columns import USUAL, usual_column


def places(cells: pd.Series) -> list[Place] | None:
    """What every cell says as a path of CheXpert, or None where they are something else."""
    found = []
    for cell in cells:
        place = place_of(cell)
        if place is None:
            return None
        found.append(place)
    return found


def same_archive(left: pd.Series, right: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Keys of two tables as they can be compared.

    Paths of CheXpert lose what differs between releases and machines (`CheXpert-v1.0-small/valid/`
    in front); where the labels name studies, so do both then. Other keys stay as they are.
    """
    ours, theirs = places(left), places(right)
    if not ours or not theirs:
        return left, right
    whole = all(place.image is None for place in theirs)
    keys = [place.study if whole else place.image or place.study for place in ours]
    others = [place.image or place.study for place in theirs]
    return pd.Series(keys, left.index, name=left.name), pd.Series(
        others, right.index, name=right.name
    )


def studies_of(truth: pd.DataFrame, key: str) -> pd.Series:
    """The study of each row of the labels' table: its `study` column, or a path of CheXpert.

    Where a patient column stands beside the study's, `study1` of two patients are two studies.

    Returns:
        Text, blank where unknown, of the table's index.

    Raises:
        UserError: the table doesn't tell.
    """
    column = usual_column(truth, USUAL["study"], set())
    if column and (truth[column] != "").any():
        patient = usual_column(truth, USUAL["patient"], {column})
        whose = truth[patient] + "\x00" if patient else ""
        return (whose + truth[column]).where(truth[column] != "", "")
    for name in dict.fromkeys([key, *truth.columns]):
        if found := places(truth[name]):
            return pd.Series([place.study for place in found], truth.index)
    raise UserError(
        "--per study needs to know the studies: a column `study` in the labels' table or dataset, "
        f"or paths of CheXpert. Received: {', '.join(truth.columns[:8])}. Add one, or score per "
        "image."
    )


def by_study(
    predictions: Predictions, studies: np.ndarray, *, over: str = "max", patients: bool = False
) -> tuple[Predictions, str]:
    """One row per study, named by its first image.

    Args:
        predictions: one row per image.
        studies: (N,) text; an image with a blank one is a study of its own.
        over: `max` or `mean` of the views' scores.
        patients: whether they are patients, each taken as one study.

    Returns:
        Each label's probability, and a truth of 1 if any view has 1, else NaN if any view's is
        unknown, else 0; and a note.
    """
    lone = studies == ""
    names = np.where(lone, [f"\x00{number}" for number in range(len(studies))], studies)
    places_, uniques = pd.factorize(names)
    first = np.unique(places_, return_index=True)[1]
    shape = (len(uniques), len(predictions.labels))
    if over == "mean":
        prob = np.zeros(shape)
        np.add.at(prob, places_, predictions.prob)
        prob /= np.bincount(places_)[:, None]
    else:
        prob = np.full(shape, -np.inf)
        np.maximum.at(prob, places_, predictions.prob)
    positive, unknown = np.zeros(shape, bool), np.zeros(shape, bool)
    np.logical_or.at(positive, places_, predictions.truth == 1)
    np.logical_or.at(unknown, places_, np.isnan(predictions.truth))
    one, several = ("patient", "patients") if patients else ("study", "studies")
    note = f"Per {one}: {len(studies):,} images are {len(uniques):,} {several}"
    if lone.any():
        note += f", {int(lone.sum()):,} of them of an unknown {one}, so each by itself"
    merged = replace(
        predictions,
        images=tuple(predictions.images[n] for n in first),
        patients=tuple(predictions.patients[n] for n in first),
        folds=tuple(predictions.folds[n] for n in first),
        prob=prob,
        truth=np.where(positive, 1.0, np.where(unknown, np.nan, 0.0)),
    )
    what = "the mean score" if over == "mean" else "the highest score"
    return merged, f"{note}; {what} of its views counts."
