"""Confident learning: which labels of a table a run's out-of-fold scores contradict.

Source: Northcutt, Jiang and Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels,
JAIR 2021, by its authors' package cleanlab. Each label is a problem of its own, of two classes,
over the images of which it is known.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cxrkeras.data.folds.folds import known_patients
from cxrkeras.evaluation.evidence.evidence import fold_numbers, row_distortion
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions
from data_prep.errors import UserError
from data_prep.files import read_json
from data_prep.tables.table import read_table

COLUMNS = ("rank", "together", "image", "patient", "label", "given", "probability", "confidence")
"""Of `Suspects.table`: `together` numbers films to be looked at in one go, `given` is what the
table says, `probability` that of the finding, `confidence` that of what the table says."""


class Suspects(NamedTuple):
    """The result of `find_suspects`.

    Args:
        table: one row per suspect entry, most suspect first, with `COLUMNS`.
        counts: by label, `known` entries, and of these `present` that look absent and `absent` that
            look present, as many as the confident joint expects (float); None where it can't be
            said since one class is missing. `listed` are those in the table, and `auroc` is how
            well the run knows the label.
        images: how many there are.
    """

    table: pd.DataFrame
    counts: dict[str, dict | None]
    images: int


class Doubt(NamedTuple):
    """What confident learning says of one label's known entries.

    Args:
        suspect: (n,) bool.
        confidence: (n,) the probability of the given class.
        joint: (2, 2) expected number of entries: given absent or present, truly absent or present.
    """

    suspect: np.ndarray
    confidence: np.ndarray
    joint: np.ndarray


def find_suspects(run: Path, dataset: Path | None) -> Suspects:
    """The entries of a run's labels that its out-of-fold scores contradict.

    Films of one patient, and copies of one film, come one after another, at the place of the most
    suspect of them.

    Args:
        run: a finished run. What its loss did to probabilities is undone, where that is known.
        dataset: the prepared dataset, to know copies by; None for patients alone.

    Raises:
        UserError: it isn't a run, its scores aren't probabilities, or cleanlab isn't installed.
    """
    check_installed()
    folder = RunFolder(run)
    if not folder.experiment.is_file() or not folder.metrics.is_file():
        raise UserError(f"Suspects need a finished run of cxrkeras cv. Received: {run}.")
    metrics = read_json(folder.metrics)
    predictions = read_predictions(folder.predictions)
    distortion = row_distortion(metrics, fold_numbers(predictions))
    prob = predictions.prob if distortion is None else distortion.undistort(predictions.prob)
    return suspects_of(predictions, prob, together(predictions, dataset))


def suspects_of(predictions: Predictions, prob: np.ndarray, groups: np.ndarray) -> Suspects:
    """What `find_suspects` gives.

    Args:
        predictions: N images by K labels, each scored by a model that hasn't seen it.
        prob: (N, K) probabilities.
        groups: (N,) numbers of what is looked at in one go.
    """
    from sklearn.metrics import roc_auc_score

    rows, counts = [], {}
    for k, label in enumerate(predictions.labels):
        known = np.flatnonzero(np.isfinite(predictions.truth[:, k]))
        given, scores = predictions.truth[known, k].astype(int), prob[known, k]
        if len(set(given.tolist())) < 2:
            counts[label] = None
            continue
        doubt = doubts(given, scores)
        found = np.flatnonzero(doubt.suspect)
        counts[label] = {
            "known": len(known),
            "present": float(doubt.joint[1, 0]),
            "absent": float(doubt.joint[0, 1]),
            "listed": len(found),
            "auroc": float(roc_auc_score(given, predictions.prob[known, k])),
        }
        rows += [
            (groups[known[n]], known[n], label, given[n], scores[n], doubt.confidence[n])
            for n in found
        ]
    return Suspects(_ranked(rows, predictions), counts, len(predictions.images))


def doubts(given: np.ndarray, prob: np.ndarray) -> Doubt:
    """Confident learning of one label, of which both classes occur.

    Args:
        given: (n,) int, 1 present, 0 absent.
        prob: (n,) of present.
    """
    from cleanlab.count import compute_confident_joint
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    both = np.stack([1 - prob, prob], axis=1)
    joint = compute_confident_joint(given, both, calibrate=True)
    # In this process: what cleanlab spreads it over would import everything again.
    suspect = find_label_issues(given, both, confident_joint=joint, n_jobs=1)
    confidence = get_label_quality_scores(given, both, method="self_confidence")
    return Doubt(suspect, confidence, joint)


def together(predictions: Predictions, dataset: Path | None) -> np.ndarray:
    """(N,) equal numbers for films of one patient, and for copies of one film, by its manifest."""
    links = [list(known_patients(np.array(predictions.patients)))]
    if dataset is not None:
        table = read_table(dataset / "manifest.csv").set_index("image")
        table = table.reindex(list(predictions.images)).fillna("")
        links += [_named(table[name]) for name in ("sha256", "signature") if name in table]
    count = len(predictions.images)
    columns, offset = [], count
    for names in links:
        numbers = np.unique(names, return_inverse=True)[1] + offset
        columns.append(numbers)
        offset = int(numbers.max()) + 1
    films = np.tile(np.arange(count), len(columns))
    joined = np.concatenate(columns)
    graph = coo_array((np.ones(len(films)), (films, joined)), shape=(offset, offset))
    return connected_components(graph, directed=False)[1][:count]


def _named(cells: Sequence[str]) -> list[str]:
    return [cell or f"\0{row}" for row, cell in enumerate(cells)]


def _ranked(rows: list[tuple], predictions: Predictions) -> pd.DataFrame:
    least: dict[int, float] = {}
    for group, *_, confidence in rows:
        least[group] = min(confidence, least.get(group, 1.0))
    rows = sorted(rows, key=lambda row: (least[row[0]], row[0], row[-1], row[1]))
    number: dict[int, int] = {}
    made = [
        (
            rank,
            number.setdefault(group, len(number) + 1),
            predictions.images[row],
            predictions.patients[row],
            label,
            given,
            float(score),
            float(confidence),
        )
        for rank, (group, row, label, given, score, confidence) in enumerate(rows, start=1)
    ]
    return pd.DataFrame(made, columns=list(COLUMNS))


def check_installed() -> None:
    """Check that cleanlab is there.

    Raises:
        UserError: with what to do.
    """
    if importlib.util.find_spec("cleanlab") is None:
        raise UserError(
            "Suspects are found by cleanlab, which isn't installed. Install it: "
            "pip install 'cxrkeras[noise]'."
        )
