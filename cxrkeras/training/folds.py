"""Fits the missing folds, with one compiled model for all."""

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxrkeras.data.distortion import Distortion
from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.model_json import write_model_json
from cxrkeras.data.preparation import preparation_of
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.models.familiar.films import Familiar, save_familiar
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.folder import (
    check_backend,
    check_format,
    check_sources,
    held_out_rows,
    save_fold,
)
from cxrkeras.runs.target import Target
from cxrkeras.training.familiar import familiar_of
from cxrkeras.training.fitting.learner import validation_rows
from cxrkeras.training.plan import Plan
from cxrkeras.training.recipes import Fitter
from cxrkeras.training.session import Session
from cxrkeras.training.stages.plan import FORMAT, describe, plan_stages, trained
from cxrkeras.training.stages.rows import SourceRows, source_rows
from data_prep.progress import duration
from data_prep.say import say

_WORTH = 60  # seconds; a shorter rest needs no forecast
_OF_MODEL = ("inflation", "distortion", "learnt_from")  # facts of a fit that model.json has too


def fit_folds(plan: Plan, target: Target, run: Path, folds: list[int]) -> None:
    """Train the source stages and fit `folds`, saving each as soon as it is finished.

    Raises:
        UserError: sources can't be used, or training diverges.
    """
    fitter = make_fitter(plan, target, run)
    began = time.monotonic()
    for done, fold in enumerate(folds, start=1):
        _fit_fold(fitter, plan, target, run, fold)
        left = (time.monotonic() - began) / done * (len(folds) - done)
        if left >= _WORTH:
            say(f"{done} of {len(folds)} folds fitted, about {duration(left)} left")


def make_fitter(plan: Plan, target: Target, run: Path) -> Fitter:
    """Train the source stages that no run has trained yet, and build the fitter for the target.

    Raises:
        UserError: sources can't be used or have changed since the run's first fold, or the run was
            fitted differently.
    """
    origins, start, rows = check_start(plan, target, run)
    weights = tuple(trained(origin, plan, run) for origin in origins)
    return plan.recipe.fitter(Session(plan, target, weights, start, rows))


class Start(NamedTuple):
    """What a fit begins with.

    Args:
        origins: where each trunk starts.
        start: what identifies that.
        rows: of other datasets, which are learnt from too.
    """

    origins: list
    start: list
    rows: tuple[SourceRows, ...]


def check_start(plan: Plan, target: Target, run: Path) -> Start:
    """What a fit begins with; noted in the run, or checked.

    Raises:
        UserError: see `make_fitter`.
    """
    check_backend(run)
    check_format(run, FORMAT)
    origins = [plan_stages(plan, number, target.dataset) for number in range(len(plan.trunks))]
    start = [
        [backbone.described(), describe(origin, plan)]
        for backbone, origin in zip(plan.architecture.backbones, origins, strict=True)
    ]
    rows = source_rows(plan.experiment, target)
    beside = [{"source_rows": {one.name: one.facts for one in rows}}] if rows else []
    check_sources(run, [*start, *beside])
    return Start(origins, start, rows)


def _fit_fold(fitter: Fitter, plan: Plan, target: Target, run: Path, fold: int) -> None:
    started = time.monotonic()
    held_out = held_out_rows(target, fold)
    learn = np.setdiff1d(np.arange(len(target.folds)), held_out)
    title = fold_title(target, fold)
    fitted = fit_rows(fitter, plan, target, learn, number=fold, what=f"fold {fold}", title=title)
    probabilities = fitter.predict(held_out)
    facts = {"format": FORMAT, **fitted.facts, "seconds": round(time.monotonic() - started, 1)}
    familiar = familiar_of(fitter, target, learn, held_out, fold)
    card = model_card(plan.experiment, target, facts)
    save_model(fitter, RunFolder(run).fold(fold).path, card, familiar)
    branches = fitter.branches(held_out)
    save_fold(run, fold, target, probabilities, fitted.history, facts, branches=branches)
    say(f"{title}: finished in {facts['seconds']:.0f} s")


def fold_title(target: Target, fold: int) -> str:
    """A fold in progress lines: `fold 2/5`."""
    return f"fold {target.fold_numbers.index(fold) + 1}/{len(target.fold_numbers)}"


class Fitted(NamedTuple):
    """The result of `fit_rows`; the fitter holds the model.

    Args:
        history: see `Trainer.fit`.
        facts: `training_prevalence` by label, `inflation` or `distortion` if what the loss did to
            probabilities is known, the number of `images` learnt from, and the fitter's own, such
            as `features` {`all`, `constant`}.
    """

    history: pd.DataFrame
    facts: dict


def fit_rows(
    fitter: Fitter,
    plan: Plan,
    target: Target,
    learn: np.ndarray,
    *,
    number: int,
    what: str,
    title: str,
    checkpoint: Path | None = None,
) -> Fitted:
    """Fit one model; a part of the rows steers it if the experiment says so.

    Args:
        fitter: from `make_fitter`.
        plan: the settings.
        target: the data.
        learn: (n,) rows of the target.
        number: number of the fit, for the seed; that of the fold.
        what: what is learnt, for messages, e.g. `fold 2`.
        title: for the progress lines.
        checkpoint: see `Trainer.fit`.
    """
    experiment = plan.experiment
    seed = experiment.seed * 1000 + number
    targets = _learned(experiment, target, learn, seed)
    patients = target.dataset.patients[learn]
    validation = validation_rows(targets[learn].known, patients, plan.validation, seed, what=what)
    train = learn[~validation]
    say(f"{title}: learning from {len(train):,} images")
    learned = fitter.fit(
        train,
        learn[validation],
        targets,
        epochs=experiment.epochs,
        learning_rate=experiment.learning_rate,
        seed=seed,
        title=title,
        checkpoint=checkpoint,
    )
    taught = targets.placed(train, learned.targets)  # with what was guessed
    facts = {
        "training_prevalence": _prevalence(target, taught[learn], learned.beside),
        **_distortion(target, learned.distortion),
        "images": int((~validation).sum()),
        **fitter.facts,
    }
    return Fitted(learned.history, facts)


def _learned(experiment: Experiment, target: Target, learn: np.ndarray, seed: int) -> Targets:
    """The targets that a fold learns from; permuted over its training images in the leak test."""
    rows = np.arange(len(target.targets))
    if experiment.shuffle_labels:
        rows[learn] = np.random.default_rng(seed).permutation(learn)
    return target.targets[rows]


def _distortion(target: Target, distortion: Distortion | None) -> dict:
    return {} if distortion is None else distortion.as_facts(target.dataset.labels)


def _prevalence(
    target: Target, targets: Targets, beside: tuple[Targets, np.ndarray] | None = None
) -> dict[str, float | None]:
    """Of what is learnt from, each row as often as it is drawn."""
    known = targets.known
    weights = np.where(np.isnan(known), 0, targets.weighed[1])
    with np.errstate(invalid="ignore"):
        if beside is not None:
            rows, often = beside
            more = np.where(np.isnan(rows.known), 0, rows.weighed[1]) * often[:, None]
            known, weights = np.concatenate([known, rows.known]), np.concatenate([weights, more])
        prevalence = np.nansum(known * weights, axis=0) / weights.sum(axis=0, dtype=np.float64)
    return {
        name: None if np.isnan(value) else float(value)
        for name, value in zip(target.dataset.labels, prevalence, strict=True)
    }


def model_card(experiment: Experiment, target: Target, facts: dict) -> dict:
    """The contents of `model.json` for a model fitted on the target; `facts` as in `Fitted`."""
    preparation = preparation_of(target.dataset.root)
    return {
        "labels": list(target.dataset.labels),
        "image_size": experiment.image_size,
        "head": experiment.head,
        **({"views": experiment.views} if experiment.views != "whole" else {}),
        **({"features": list(experiment.features)} if experiment.features else {}),
        "trained_on": target.dataset.name,
        "training_prevalence": facts["training_prevalence"],
        **{name: facts[name] for name in _OF_MODEL if name in facts},
        "preparation": preparation and preparation.as_json(),
    }


def save_model(fitter: Fitter, folder: Path, card: dict, familiar: Familiar | None) -> dict:
    """Write the last fit's model, which films it knows, then `model.json`, each in one step; gives
    what that holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = card | fitter.save(folder)
    save_familiar(familiar, folder)
    write_model_json(folder, written)
    return written
