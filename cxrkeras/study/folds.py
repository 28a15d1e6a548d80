"""The folds that all cells of a study share, made once and kept."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from cxrkeras.data.dataset import open_dataset
from cxrkeras.data.folds.files import save_folds
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.predictions import TEST_FOLD
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.target import check_folds, load_target
from data_prep.errors import UserError
from data_prep.files import atomic_write_json
from data_prep.tables.table import read_table

_MADE_FROM = "folds.json"


def share_folds(out: Path, experiment: Experiment) -> None:
    """Make a study's `folds.csv`, or check that existing folds are those that are asked for.

    What they were made from is kept beside them, so that a change of the description or data is
    noticed before a cell is trained on different folds.

    Args:
        out: the study's folder.
        experiment: with the data, folds, test set and seed that all cells share; its `folds_file`
            is the user's own, or None.

    Raises:
        UserError: the data or folds can't be used, or aren't those with which the study was begun.
    """
    dataset = open_dataset(Path(experiment.data), experiment.labels_of())
    given = Path(experiment.folds_file) if experiment.folds_file else None
    made_from = {
        "data": dataset.fingerprint_with(experiment.inputs),
        "blank": experiment.blank,
        **(_made(experiment) if given is None else {"file": _digest(given)}),
    }
    path = RunFolder(out).fold_table
    if path.is_file():
        _check(out, made_from)
        return
    target = load_target(experiment, dataset, given)
    check_folds(experiment, target)
    # The note first: folds without it would have to be trusted.
    atomic_write_json(out / _MADE_FROM, made_from)
    save_folds(path, dataset.images, dataset.patients, dataset.digests, target.folds)


def fold_numbers(out: Path) -> list[int]:
    """The numbers of a study's folds, without the test set; none before they are made."""
    path = RunFolder(out).fold_table
    return list(_numbers(path, path.stat().st_mtime_ns)) if path.is_file() else []


@lru_cache(maxsize=8)
def _numbers(path: Path, _time: int) -> tuple[int, ...]:
    """Kept, as each cell asks."""
    return tuple(sorted(int(fold) for fold in set(read_table(path)["fold"]) - {TEST_FOLD}))


def _made(experiment: Experiment) -> dict:
    return experiment.model_dump(include={"folds", "test_fraction", "seed"})


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise UserError(f"--folds-file {path} can't be read: {error.strerror}.") from None


def _check(out: Path, made_from: dict) -> None:
    try:
        known = json.loads((out / _MADE_FROM).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    names = {*known, *made_from}
    if differ := sorted(name for name in names if known.get(name) != made_from.get(name)):
        raise UserError(
            f"{out} was begun with other folds or data: {', '.join(differ)} differ. Give another "
            "--out, so that all cells of a study are scored on the same images."
        )
