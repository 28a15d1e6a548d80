"""Source stages: a trunk trained on other data, once, and kept under what describes it."""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from cxrkeras.data.dataset import PreparedDataset, load_dataset
from cxrkeras.data.pipeline import Images, Part, head_widths
from cxrkeras.data.targets import MASKED, targets_from_codes
from cxrkeras.models.methods import TrunkPlan
from cxrkeras.models.network import build_network
from cxrkeras.models.sources import Dataset, Weights
from cxrkeras.models.weights import fingerprint, load_trunk, save_trunk
from cxrkeras.training.cache import cache_folder
from cxrkeras.training.experiment import Experiment
from cxrkeras.training.learn import Learner, validation_rows
from cxrkeras.training.run_folder import write_table
from data_prep.errors import UserError
from data_prep.files import atomic_write_json
from data_prep.say import say

FORMAT = 1  # raise it when a change makes older stages wrong
SOURCE_AUGMENT = "study"
MERGED = "merged"
"""The head of a merged label space."""


@dataclass(frozen=True)
class Stage:
    """One training before the target.

    Args:
        name: the datasets' names, joined by `+`.
        backbone: the trunk's.
        before: the stage or weights that it starts from, None for a random start.
        datasets: by name.
    """

    name: str
    backbone: str
    before: "Stage | Weights | None"
    datasets: dict[str, PreparedDataset]


def plan_stages(plan: TrunkPlan, target: PreparedDataset) -> "Stage | Weights | None":
    """The last thing a trunk learns from before the target, with all that stands before it.

    Images of the target, and of its patients, are taken out of every source: what a fold holds out
    must not have been seen.

    Raises:
        UserError: for a source that is no prepared dataset.
    """
    origin: Stage | Weights | None = plan.start
    for links in plan.stages:
        datasets = {link.name: _without(load_dataset(link.folder), link, target) for link in links}
        origin = Stage("+".join(datasets), plan.backbone, origin, datasets)
    return origin


def describe(origin: "Stage | Weights | None", experiment: Experiment) -> dict | str | None:
    """Everything that the trunk's weights depend on, as JSON."""
    if origin is None or isinstance(origin, Weights):
        return fingerprint(origin) if origin else None
    settings = experiment.model_dump(include=_SETTINGS)
    settings["epochs"] = experiment.source_epochs or experiment.epochs
    settings["validation"] = experiment.source_validation
    if len(origin.datasets) == 1:
        del settings["joint"]  # one dataset has one head either way
    settings["augment"] = experiment.augment or SOURCE_AUGMENT
    return {
        "format": FORMAT,
        "backbone": origin.backbone,
        "before": describe(origin.before, experiment),
        "datasets": {name: dataset.fingerprint for name, dataset in origin.datasets.items()},
        "settings": settings,
    }


_SETTINGS = {
    "image_size",
    "joint",
    "loss",
    "uncertain",
    "blank",
    "batch_size",
    "source_learning_rate",
    "dropout",
    "plateau_patience",
    "plateau_factor",
    "early_stopping",
    "batch_norm",
    "seed",
}


def trained(origin: "Stage | Weights | None", experiment: Experiment, run: Path) -> Weights | None:
    """The weights a trunk starts from on the target; trains the stages that no run has trained yet.

    Args:
        origin: from `plan_stages`.
        experiment: the run's description.
        run: the run folder, whose `stages/` gets each stage's description and history.
    """
    if origin is None or isinstance(origin, Weights):
        return origin
    description = describe(origin, experiment)
    key = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_folder() / "stages" / key
    before = trained(origin.before, experiment, run)
    if folder.is_dir():
        say(f"source stage {origin.name}: trained before, reused")
    else:
        _train(origin, before, experiment, description, folder)
    _record(folder, run / "stages" / f"{origin.name}-{key[:6]}")
    return Weights(str(folder / "trunk.weights.h5"))


def _record(folder: Path, copy: Path) -> None:
    copy.mkdir(parents=True, exist_ok=True)
    for name in ("stage.json", "history.csv"):
        shutil.copyfile(folder / name, copy / name)


def _train(
    stage: Stage, before: Weights | None, experiment: Experiment, description: dict, folder: Path
) -> None:
    train, validation = _parts(stage.datasets, experiment)
    network = build_network(
        (stage.backbone,),
        experiment.image_size,
        head_widths(train),
        dropout=experiment.dropout,
        seed=experiment.seed,
    )
    if before:
        load_trunk(network.trunks[0], stage.backbone, before)
    learner = Learner(
        network.logits, experiment, train, augment=experiment.augment or SOURCE_AUGMENT
    )
    history = learner.learn(
        train,
        validation,
        epochs=experiment.source_epochs or experiment.epochs,
        learning_rate=experiment.source_learning_rate,
        seed=experiment.seed,
        title=f"source stage {stage.name}",
    )
    facts = {"name": stage.name, "images": sum(len(part.index) for part in train)}
    _keep(folder, network.trunks[0], history, {**facts, "description": description})
    keras.backend.clear_session()


def _keep(folder: Path, trunk: keras.Model, history: pd.DataFrame, facts: dict) -> None:
    """Put a finished stage into the cache in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        done = Path(scratch, "done")
        done.mkdir()
        save_trunk(trunk, done / "trunk.weights.h5")
        write_table(done / "history.csv", history)
        atomic_write_json(done / "stage.json", facts)
        try:
            os.replace(done, folder)
        except OSError:
            if not folder.is_dir():  # else another run was first, with the same stage
                raise


def _parts(
    datasets: dict[str, PreparedDataset], experiment: Experiment
) -> tuple[list[Part], list[Part]]:
    """Training and validation parts; with `joint = merged` they share one head."""
    merged = experiment.joint == MERGED and len(datasets) > 1
    union = list(dict.fromkeys(label for d in datasets.values() for label in d.labels))
    train, validation = [], []
    for name, dataset in datasets.items():
        targets = targets_from_codes(
            dataset.codes, uncertain=experiment.uncertain, blank=experiment.blank
        )
        fraction, seed = experiment.source_validation, experiment.seed
        held = validation_rows(targets, dataset.patients, fraction, seed, what=f"source {name}")
        if merged:
            targets = _widen(targets, dataset.labels, union)
        images = Images(dataset.paths, experiment.image_size)
        for parts, rows in ((train, ~held), (validation, held)):
            if rows.any():
                head = MERGED if merged else name
                parts.append(Part(head, images, np.flatnonzero(rows), targets[rows]))
    return train, validation


def _widen(targets: np.ndarray, labels: tuple[str, ...], union: list[str]) -> np.ndarray:
    """Targets in the merged label space; labels that the dataset lacks are masked."""
    wide = np.full((len(targets), len(union)), MASKED, np.float32)
    wide[:, [union.index(label) for label in labels]] = targets
    return wide


def _without(source: PreparedDataset, link: Dataset, target: PreparedDataset) -> PreparedDataset:
    same = np.isin(source.digests, target.digests)
    known = source.patients != ""
    seen = same | (known & np.isin(source.patients, target.patients))
    if seen.any():
        say(
            f"source {link.name}: {int(seen.sum())} of {len(source)} images are left out: "
            f"{int(same.sum())} are the target's, the others have the patient of one of them"
        )
    if seen.all():
        raise UserError(
            f"A source needs images that aren't the target's. Received: {link.name}={link.folder}, "
            "of which none is left. Give another --source; where patients of two places share a "
            "number, prepare one of the datasets with another --key-file."
        )
    return source.subset(~seen)
