"""The run folder: claimed for one experiment, filled fold by fold, put together at the end."""

import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.data.dataset import PreparedDataset
from cxrkeras.data.folds import TEST
from cxrkeras.data.targets import MASKED
from cxrkeras.training.experiment import Experiment, read_experiment, write_experiment
from cxrkeras.training.target import Target
from data_prep.errors import UserError
from data_prep.files import atomic_write_json, atomic_write_text


def claim(run: Path, experiment: Experiment) -> None:
    """Make the folder this experiment's, or check that it is.

    Raises:
        UserError: when it holds another run, or something that is no run.
    """
    description = run / "experiment.toml"
    if description.is_file():
        _refuse_another(run, experiment, read_experiment(description))
        return
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise UserError(f"{run} holds something that is no run. Give another --out.")
    run.mkdir(parents=True, exist_ok=True)
    write_experiment(description, experiment)


def _refuse_another(run: Path, experiment: Experiment, found: Experiment) -> None:
    new, old = experiment.model_dump(), found.model_dump()
    differ = [name.replace("_", "-") for name in new if new[name] != old[name]]
    if differ:
        raise UserError(
            f"{run} is a run with another --{', --'.join(differ)}. "
            "Give another --out, or remove that folder first."
        )


def check_environment(run: Path, dataset: PreparedDataset) -> None:
    """Write what the run ran on, once; on a later start check that the data are still the same.

    Raises:
        UserError: when the prepared data changed since the run was begun.
    """
    path = run / "environment.json"
    if not path.is_file():
        packages = ("cxrkeras", "tensorflow", "keras", "numpy", "scikit-learn", "pandas")
        facts = {
            "data": dataset.fingerprint,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            **{name: version(name) for name in packages},
        }
        atomic_write_json(path, facts)
    elif json.loads(path.read_text(encoding="utf-8"))["data"] != dataset.fingerprint:
        raise UserError(
            f"The prepared data changed since {run} was begun. "
            "Give another --out, so that one run has one dataset."
        )


def check_sources(run: Path, descriptions: list) -> None:
    """Write what the trunks learned before, once; on a later start check that it is still the same.

    Raises:
        UserError: when a source changed since the run was begun: its folds would not be comparable.
    """
    path = run / "sources.json"
    if not path.is_file():
        atomic_write_json(path, descriptions)
    elif json.loads(path.read_text(encoding="utf-8")) != descriptions:
        raise UserError(
            f"A source changed since {run} was begun. "
            "Give another --out, so that all folds of a run start alike."
        )


def fold_folder(run: Path, fold: int) -> Path:
    """Where a fold's results lie."""
    return run / "folds" / str(fold)


def is_finished(run: Path, fold: int) -> bool:
    """Whether a fold is whole: its `fold.json` is written last."""
    return (fold_folder(run, fold) / "fold.json").is_file()


def save_fold(
    run: Path,
    fold: int,
    target: Target,
    probabilities: np.ndarray,
    history: pd.DataFrame,
    facts: dict,
) -> None:
    """Write a fold's tables; `fold.json` comes last and says that the fold is whole.

    Args:
        run: the run folder.
        fold: its number.
        target: the data.
        probabilities: (n, K) for the images that the fold or the test set holds out, in the
            target's order (see `held_out_rows`).
        history: of the fit.
        facts: what `fold.json` holds.
    """
    folder = fold_folder(run, fold)
    rows = held_out_rows(target, fold)
    table = _table(target, rows, probabilities)
    tested = target.folds[rows] == TEST
    write_table(folder / "predictions.csv", table[~tested])
    if tested.any():
        write_table(folder / "test_predictions.csv", table[tested])
    write_table(folder / "history.csv", history)
    atomic_write_json(folder / "fold.json", facts)


def held_out_rows(target: Target, fold: int) -> np.ndarray:
    """Rows of the target that a fold's model predicts: its own, and the test set's."""
    return np.flatnonzero(np.isin(target.folds, (fold, TEST)))


def gather(run: Path, target: Target) -> None:
    """Put the folds' predictions together, in the dataset's order; the test set's are averaged."""
    folders = [fold_folder(run, fold) for fold in target.fold_numbers]
    order = {image: row for row, image in enumerate(target.dataset.images)}
    table = pd.concat([_read(folder / "predictions.csv") for folder in folders])
    table = table.sort_values("image", key=lambda images: images.map(order))
    write_table(run / "predictions.csv", table)
    if (target.folds == TEST).any():
        tables = [_read(folder / "test_predictions.csv") for folder in folders]
        columns = [name for name in tables[0] if name.startswith("prob_")]
        mean = np.mean([table[columns].to_numpy() for table in tables], axis=0)
        tables[0][columns] = mean
        write_table(run / "test_predictions.csv", tables[0])


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV in one step, floats with 9 significant digits (a float32 reads back equal)."""
    atomic_write_text(path, table.to_csv(index=False, float_format="%.9g"))


def _table(target: Target, rows: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    dataset, folds = target.dataset, target.folds[rows]
    truth = np.where(target.truth == MASKED, np.nan, target.truth)[rows]
    columns = {
        "image": dataset.images[rows],
        "patient": dataset.patients[rows],
        "fold": np.where(folds == TEST, "test", folds.astype(str)),
    }
    for k, label in enumerate(dataset.labels):
        columns[f"prob_{label}"] = probabilities[:, k]
    for k, label in enumerate(dataset.labels):
        columns[f"true_{label}"] = pd.array(truth[:, k], dtype="Int8")
    return pd.DataFrame(columns)


def _read(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, dtype={"image": str, "patient": str, "fold": str})
    return table.astype({name: "Int8" for name in table if name.startswith("true_")})
