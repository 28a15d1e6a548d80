"""Which films a fitted model knows, from what it makes of them before its head."""

from pathlib import Path

import numpy as np

from cxrkeras.data.folds.folds import TEST
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.models.familiar.density import Density, fit_density
from cxrkeras.models.familiar.films import Familiar, films_identified, load_familiar
from cxrkeras.runs.target import Target
from cxrkeras.training.recipes import Fitter

MOST = 2000
"""So many training films, drawn at random, tell where features lie: of more, it takes no longer."""


def familiar_of(
    fitter: Fitter, target: Target, learned: np.ndarray, held_out: np.ndarray, fold: int
) -> Familiar | None:
    """Of a fold's model; None where its recipe can't say what features it has.

    Args:
        fitter: after its `predict` of the rows held out, whose features that pass has.
        target: the data.
        learned: (n,) rows of the target that it learnt from.
        held_out: (m,) rows that it predicted.
        fold: its number; the rows of the test set among `held_out` don't count.
    """
    features = fitter.features(held_out)
    if features is None:
        return None
    own = target.folds[held_out] == fold
    density = _density(fitter, learned)
    if density is None or not np.isfinite(features[own]).all():
        return None
    whose = films_identified(target.dataset.images[held_out[own]].tolist())
    distances = np.sort(density.distance(features[own]))
    return Familiar(density, distances, whose, fitter.feature_layers, _all_folds(target))


def familiar_of_run(
    fitter: Fitter, run: Path, target: Target, learned: np.ndarray
) -> Familiar | None:
    """Of a final model, which has no film out of fold: these are the folds', by their models.

    Args:
        fitter: after its fit.
        run: the finished run whose settings it has.
        target: the data.
        learned: (n,) rows of the target that it learnt from.
    """
    folders = [RunFolder(run).fold(fold) for fold in target.fold_numbers]
    known = [load_familiar(folder.path, folder.model) for folder in folders]
    density = None if None in known else _density(fitter, learned)
    if density is None:
        return None
    distances = np.sort(np.concatenate([one.held_out for one in known]))
    whose = films_identified([one.whose for one in known])
    return Familiar(density, distances, whose, fitter.feature_layers, _all_folds(target))


def _all_folds(target: Target) -> tuple[str, int]:
    images = target.dataset.images[target.folds != TEST].tolist()
    return films_identified(images), len(images)


def _density(fitter: Fitter, learned: np.ndarray) -> Density | None:
    if len(learned) > MOST:
        learned = np.sort(np.random.default_rng(0).choice(learned, MOST, replace=False))
    features = fitter.features(learned)
    return None if features is None or not np.isfinite(features).all() else fit_density(features)
