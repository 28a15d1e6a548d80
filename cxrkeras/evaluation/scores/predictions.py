"""A run folder's table of predictions: image, patient, fold, scores and truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from data_prep.errors import UserError
from data_prep.files import atomic_write_text
from data_prep.tables.cells import frame_as_csv
from data_prep.tables.table import read_table

TEST_FOLD = "test"
PREFIX, SCORE_PREFIX = "prob_", "score_"


@dataclass(frozen=True)
class Predictions:
    """N images by K labels, rows in file order.

    Attributes:
        images: N paths relative to the prepared dataset.
        patients: N pseudonyms; "" where unknown.
        folds: N fold names, "0".."K-1" or "test".
        labels: the K names, in column order.
        prob: (N, K) float64 in [0, 1]; any finite numbers where `ranks_only`.
        truth: (N, K) float64: 1, 0, or NaN for unknown or masked.
        ranks_only: whether only the order of the scores counts. Their columns are then called
            `score_LABEL`.
    """

    images: tuple[str, ...]
    patients: tuple[str, ...]
    folds: tuple[str, ...]
    labels: tuple[str, ...]
    prob: np.ndarray
    truth: np.ndarray
    ranks_only: bool = False


def read_predictions(path: Path) -> Predictions:
    """Read a run's `predictions.csv`.

    Raises:
        UserError: the file or a column is missing, or a value is out of range.
    """
    if not path.is_file():
        raise UserError(
            f"A run folder must hold {path.name}. Not found: {path}. Finish the run first."
        )
    table = read_table(path)
    ranks_only = not any(c.startswith(PREFIX) for c in table) and any(
        c.startswith(SCORE_PREFIX) for c in table
    )
    prefix = SCORE_PREFIX if ranks_only else PREFIX
    labels = tuple(c.removeprefix(prefix) for c in table.columns if c.startswith(prefix))
    wanted = ["image", "patient", "fold", *(f"true_{name}" for name in labels)]
    missing = [column for column in wanted if column not in table.columns]
    if missing or not labels or table.empty:
        raise UserError(
            f"{path.name} needs rows and the columns image, patient, fold, prob_LABEL, true_LABEL. "
            f"Missing: {', '.join(missing) or 'prob_LABEL or any row'}. Run the evaluation again."
        )
    prob = _numbers(table, [f"{prefix}{name}" for name in labels], path)
    truth = _numbers(table, [f"true_{name}" for name in labels], path)
    scored = np.isfinite(prob) if ranks_only else (prob >= 0) & (prob <= 1)
    if not (np.all(scored) and np.all(np.isnan(truth) | np.isin(truth, (0, 1)))):
        raise UserError(
            f"{path.name} must hold probabilities in [0, 1] and truths 1, 0 or blank, but has "
            "others. Run the evaluation again."
        )
    if table["image"].duplicated().any():
        raise UserError(
            f"{path.name} must list every image once, but lists some twice. Run the evaluation "
            "again."
        )
    columns = (tuple(table[name].tolist()) for name in ("image", "patient", "fold"))
    return Predictions(*columns, labels, prob, truth, ranks_only)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write `predictions` in the layout that `read_predictions` takes, in one step.

    Scores are written as the shortest text that reads back as the same float64.
    """
    columns = {
        "image": predictions.images,
        "patient": predictions.patients,
        "fold": predictions.folds,
    }
    prefix = SCORE_PREFIX if predictions.ranks_only else PREFIX
    for k, name in enumerate(predictions.labels):
        columns[f"{prefix}{name}"] = [repr(float(p)) for p in predictions.prob[:, k]]
    for k, name in enumerate(predictions.labels):
        truth = predictions.truth[:, k]
        columns[f"true_{name}"] = ["" if np.isnan(t) else str(int(t)) for t in truth]
    atomic_write_text(path, frame_as_csv(pd.DataFrame(columns)))


def _numbers(table: pd.DataFrame, columns: list[str], path: Path) -> np.ndarray:
    try:
        return table[columns].replace("", "nan").to_numpy(dtype=np.float64)
    except ValueError:
        raise UserError(
            f"{path.name} must hold numbers under prob_ and true_, but has other text. Run the "
            "evaluation again."
        ) from None
