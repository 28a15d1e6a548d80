"""Fitting the folds that are missing, with one compiled model for all of them."""

import hashlib
import time
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
from scipy.special import expit

from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.model_json import write_model_json
from cxrkeras.data.pipeline import Features, Images, Part, image_batches
from cxrkeras.data.preparation import preparation_of
from cxrkeras.models.heads.pooled import classifier
from cxrkeras.models.network import TARGET, Network, build_network
from cxrkeras.models.weights.trunk import load_trunk
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.folder import (
    check_backend,
    check_format,
    check_sources,
    fold_folder,
    held_out_rows,
    save_fold,
)
from cxrkeras.runs.target import Target
from cxrkeras.runs.transfer import TrunkPlan
from cxrkeras.training.recipes.features import frozen_features
from cxrkeras.training.recipes.learn import Learned, Learner, inflations, validation_rows
from cxrkeras.training.stages.plan import FORMAT, describe, plan_stages, trained
from data_prep.files import replacing
from data_prep.say import say


def fit_folds(
    plan: tuple[TrunkPlan, ...],
    experiment: Experiment,
    target: Target,
    run: Path,
    folds: list[int],
) -> None:
    """Train the source stages and fit `folds`; each is saved as soon as it is finished.

    Raises:
        UserError: for sources that can't be used, or a training that diverges.
    """
    fitter = make_fitter(plan, experiment, target, run)
    for fold in folds:
        _fit_fold(fitter, experiment, target, run, fold)


def make_fitter(
    plan: tuple[TrunkPlan, ...], experiment: Experiment, target: Target, run: Path
) -> "_Finetuned | _Frozen":
    """Train the source stages, those that no run has trained yet, and build what fits the target.

    Raises:
        UserError: for sources that can't be used, or changed since the run's first fold; a run that
            was fitted otherwise.
    """
    check_backend(run)
    check_format(run, FORMAT)
    origins = [plan_stages(trunk, experiment, target.dataset) for trunk in plan]
    descriptions = [
        [trunk.backbone, describe(origin, experiment)]
        for trunk, origin in zip(plan, origins, strict=True)
    ]
    check_sources(run, descriptions)
    weights = [trained(origin, experiment, run) for origin in origins]
    network = build_network(
        tuple(trunk.backbone for trunk in plan),
        experiment.image_size,
        {TARGET: len(target.dataset.labels)},
        dropout=experiment.dropout,
        seed=experiment.seed,
        three_way={TARGET: target.targets.three_way},
    )
    for trunk, trunk_plan, start in zip(network.trunks, plan, weights, strict=True):
        if start:
            load_trunk(trunk, trunk_plan.backbone, start)
    if experiment.reuse == "layers":
        return _Frozen(network, experiment, target, descriptions)
    return _Finetuned(network, experiment, target)


_LEVEL = 1e-6  # a spread, relative to the mean, that is rounding


class _Finetuned:
    """All layers learn; the target's images pass through the trunks in every epoch."""

    def __init__(self, network: Network, experiment: Experiment, target: Target):
        self.network, self._experiment = network, experiment
        self.facts: dict = {}  # nothing to add to a fit's own
        self._inputs = Images(target.dataset.paths, experiment.image_size)
        rows = np.flatnonzero(target.folds != target.fold_numbers[0])
        train = _part(self._inputs, rows, target.targets)
        self._learner = Learner(
            network.logits, experiment, [train], augment=experiment.target_augment
        )

    def fit(self, train: np.ndarray, validation: np.ndarray, targets: Targets, **how) -> Learned:
        """Fit from the start state on rows of the target."""
        return self._learner.learn(
            [_part(self._inputs, train, targets)],
            [_part(self._inputs, validation, targets)] if len(validation) else [],
            **how,
        )

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """(n,) rows -> (n, K) probabilities."""
        batches = image_batches(self._inputs, rows, self._experiment.batch_size)
        return self.network.probability.predict(batches, verbose=0)


class _Frozen:
    """The trunks stand still, so their pooled features are computed once and only the head learns.

    It learns on features standardised over the training images, which changes nothing in what the
    network can express: the scaling goes into the dense layer afterwards, exactly. In an epoch
    each image is seen about once, as it is or in one of its augmented views. `facts` says of the
    last fit how many features there are, and how many don't vary over the training images.
    """

    def __init__(self, network: Network, experiment: Experiment, target: Target, start: list):
        self.network = network
        self._views = frozen_features(network, target.dataset, experiment, start)
        inputs = keras.Input(self._views.shape[2:])
        _, logits = classifier(
            inputs,
            len(target.dataset.labels),
            dropout=experiment.dropout,
            name=TARGET,
            seed=experiment.seed,
            three_way=target.targets.three_way,
        )
        self._head = keras.Model(inputs, {TARGET: logits})
        rows = np.arange(len(target.dataset))
        everything = _part(Features(self._views[0]), rows, target.targets)
        self._learner = Learner(self._head, experiment, [everything], augment="none", average=True)
        self._frozen = {
            "digest": weights_digest(network.features),
            "features": network.features.layers[-1].name,
        }

    def fit(self, train: np.ndarray, validation: np.ndarray, targets: Targets, **how) -> Learned:
        """Fit the head on rows of the target and put it on the network."""
        views, images, width = self._views.shape
        mean, scale = self._views[0, train].mean(axis=0), self._views[0, train].std(axis=0)
        # Relative: what a trunk of random weights gives differs in the eleventh decimal only.
        constant = scale <= _LEVEL * np.abs(mean)
        features = {"all": width, "constant": int(constant.sum())}
        self.facts = {"features": features, "frozen": self._frozen}
        scale = np.where(constant, 1.0, scale)
        standard = Features(((self._views - mean) / scale).reshape(-1, width), images)
        seen = np.concatenate([train + view * images for view in range(views)])
        part = Part(TARGET, standard, seen, targets[np.tile(train, views)], epoch=len(train))
        held = [_part(standard, validation, targets)] if len(validation) else []
        learned = self._learner.learn([part], held, **how)
        self._fold_scaling(mean, scale)
        return learned

    def _fold_scaling(self, mean: np.ndarray, scale: np.ndarray) -> None:
        kernel, bias = map(np.float64, self._head.get_layer(TARGET).get_weights())
        kernel = kernel / scale[:, None]
        self.network.logits.get_layer(TARGET).set_weights([kernel, bias - mean @ kernel])

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """(n,) rows -> (n, K) probabilities, from the features."""
        kernel, bias = self.network.logits.get_layer(TARGET).get_weights()
        return expit(self._views[0, rows] @ kernel + bias)


def weights_digest(model: keras.Model) -> str:
    """SHA-256 of a model's weights, as hexadecimal: of each its type, shape and bytes, in order."""
    digest = hashlib.sha256()
    for values in model.get_weights():
        digest.update(f"{values.dtype.str}{values.shape}".encode())
        digest.update(np.ascontiguousarray(values))
    return digest.hexdigest()


def _fit_fold(
    fitter: _Finetuned | _Frozen, experiment: Experiment, target: Target, run: Path, fold: int
) -> None:
    started = time.monotonic()
    held_out = held_out_rows(target, fold)
    learn = np.setdiff1d(np.arange(len(target.folds)), held_out)
    title = f"fold {target.fold_numbers.index(fold) + 1}/{len(target.fold_numbers)}"
    fitted = fit_rows(
        fitter, experiment, target, learn, number=fold, what=f"fold {fold}", title=title
    )
    probabilities = fitter.predict(held_out)
    facts = {"format": FORMAT, **fitted.facts, "seconds": round(time.monotonic() - started, 1)}
    save_model(fitter.network, fold_folder(run, fold), model_card(experiment, target, facts))
    facts.pop("frozen", None)  # model.json says it
    save_fold(run, fold, target, probabilities, fitted.history, facts)
    say(f"{title}: finished in {facts['seconds']:.0f} s")


class Fitted(NamedTuple):
    """What `fit_rows` did; the weights are in the fitter's network.

    Args:
        history: see `Trainer.fit`.
        facts: `training_prevalence` and `inflation` by label, `images` learned from, and of frozen
            trunks `features` {`all`, `constant`}.
    """

    history: pd.DataFrame
    facts: dict


def fit_rows(
    fitter: _Finetuned | _Frozen,
    experiment: Experiment,
    target: Target,
    learn: np.ndarray,
    *,
    number: int,
    what: str,
    title: str,
    checkpoint: Path | None = None,
) -> Fitted:
    """Fit one model; a part of the rows steers it where the experiment says so.

    Args:
        fitter: from `make_fitter`.
        experiment: the settings.
        target: the data.
        learn: (n,) rows of the target.
        number: of the fit, for the seed; a fold's own.
        what: is learned, for messages, e.g. `fold 2`.
        title: for the progress lines.
        checkpoint: see `Trainer.fit`.
    """
    seed = experiment.seed * 1000 + number
    targets = _learned(experiment, target, learn, seed)
    patients = target.dataset.patients[learn]
    validation = validation_rows(
        targets[learn].known, patients, experiment.target_validation, seed, what=what
    )
    train = learn[~validation]
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
    values = targets.values.copy()
    values[train] = learned.train[0].targets.values[: len(train)]  # with what was guessed
    inflation = inflations(experiment, learned.train)[TARGET]
    facts = {
        "training_prevalence": _prevalence(target, Targets(values[learn])),
        "inflation": dict(zip(target.dataset.labels, map(float, inflation), strict=True)),
        "images": int((~validation).sum()),
        **fitter.facts,
    }
    return Fitted(learned.history, facts)


def _learned(experiment: Experiment, target: Target, learn: np.ndarray, seed: int) -> Targets:
    """The targets that a fold learns from; in the leak test, permuted over its training images."""
    rows = np.arange(len(target.targets))
    if experiment.shuffle_labels:
        rows[learn] = np.random.default_rng(seed).permutation(learn)
    return target.targets[rows]


def _part(inputs: Images | Features, rows: np.ndarray, targets: Targets) -> Part:
    return Part(TARGET, inputs, rows, targets[rows])


def _prevalence(target: Target, targets: Targets) -> dict[str, float | None]:
    known = targets.known
    with np.errstate(invalid="ignore"):
        prevalence = np.nansum(known, axis=0) / (~np.isnan(known)).sum(axis=0)
    return {
        name: None if np.isnan(value) else float(value)
        for name, value in zip(target.dataset.labels, prevalence, strict=True)
    }


def model_card(experiment: Experiment, target: Target, facts: dict) -> dict:
    """What `model.json` says of a model fitted on the target; `facts` as in `Fitted`."""
    preparation = preparation_of(target.dataset.root)
    return {
        "labels": list(target.dataset.labels),
        "image_size": experiment.image_size,
        "trained_on": target.dataset.name,
        "training_prevalence": facts["training_prevalence"],
        "inflation": facts["inflation"],
        **({"frozen": facts["frozen"]} if "frozen" in facts else {}),
        "preparation": preparation and preparation.as_json(),
    }


def save_model(network: Network, folder: Path, card: dict) -> None:
    """Write `model.keras` and then `model.json`, each in one step."""
    with replacing(folder / "model.keras", ".keras") as temporary:
        network.probability.save(temporary)
    write_model_json(folder, card)
