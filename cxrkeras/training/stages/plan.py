"""Source stages: a trunk trained on other data, once, and kept under what describes it."""

import hashlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import keras

from cxrkeras import runtime
from cxrkeras.data.dataset import PreparedDataset, open_dataset
from cxrkeras.data.labels.uncertain import policies_for
from cxrkeras.evaluation.scores.metrics import evaluate
from cxrkeras.evaluation.scores.predictions import write_predictions
from cxrkeras.models.weights.trunk import fingerprint, save_trunk
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.folder import write_table
from cxrkeras.runs.sources import Weights
from cxrkeras.runs.transfer import TrunkPlan
from cxrkeras.training.stages.cache import cache_folder
from cxrkeras.training.stages.fit import SOURCE_AUGMENT, Fitted, fit_stage
from cxrkeras.training.stages.overlap import without_target
from data_prep.files import atomic_write_json
from data_prep.say import say

FORMAT = 3
"""Of what training ends with: raise it when a change makes older stages, features, folds wrong."""
TRUNK = "trunk.weights.h5"


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


def plan_stages(
    plan: TrunkPlan, experiment: Experiment, target: PreparedDataset | None
) -> "Stage | Weights | None":
    """The last thing a trunk learns from before the target, with all that stands before it.

    Images of the target, their copies, and those of its patients are taken out of every source:
    what a fold holds out must not have been seen.

    Raises:
        UserError: for a source that is no prepared dataset, or lacks the labels wanted of it.
    """
    origin: Stage | Weights | None = plan.start
    for links in plan.stages:
        datasets = {}
        for link in links:
            dataset = open_dataset(link.folder, experiment.labels_of(link.name))
            datasets[link.name] = without_target(dataset, link, target) if target else dataset
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
        **on_backend(),
        "format": FORMAT,
        "backbone": origin.backbone,
        "before": describe(origin.before, experiment),
        "datasets": {name: dataset.fingerprint for name, dataset in origin.datasets.items()},
        "uncertain": {
            name: _policies(dataset, experiment) for name, dataset in origin.datasets.items()
        },
        "settings": settings,
    }


def on_backend() -> dict[str, str]:
    """What a description says of Keras's backend: initial weights and random draws are its own.

    Of TensorFlow nothing, so that what was made before there was a choice is still found.
    """
    backend = runtime.backend()
    return {} if backend == runtime.TENSORFLOW else {"backend": backend}


def _policies(dataset: PreparedDataset, experiment: Experiment) -> dict[str, str]:
    """What -1 means, of the labels that have it: without it, no policy changes anything."""
    policies = policies_for(experiment.uncertain, dataset.labels)
    asked = (dataset.codes == -1).any(axis=0)
    return {
        label: policy
        for label, policy, is_asked in zip(dataset.labels, policies, asked, strict=True)
        if is_asked
    }


_SETTINGS = {
    "image_size",
    "joint",
    "loss",
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
        run: the run folder, whose `stages/` gets each stage's description, history and scores.
    """
    if origin is None or isinstance(origin, Weights):
        return origin
    return Weights(str(trained_stage(origin, experiment, run) / TRUNK))


def trained_stage(stage: Stage, experiment: Experiment, run: Path) -> Path:
    """The cache's folder of a stage, trained now or before; see `trained`."""
    description = describe(stage, experiment)
    key = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_folder() / "stages" / key
    before = trained(stage.before, experiment, run)
    if folder.is_dir():
        say(f"source stage {stage.name}: trained before, reused")
    else:
        _train(stage, before, experiment, description, folder)
    _record(folder, run / "stages" / f"{stage.name}-{key[:6]}")
    return folder


def _record(folder: Path, copy: Path) -> None:
    copy.mkdir(parents=True, exist_ok=True)
    for name in ("stage.json", "history.csv", "metrics.json"):
        shutil.copyfile(folder / name, copy / name)


def _train(
    stage: Stage, before: Weights | None, experiment: Experiment, description: dict, folder: Path
) -> None:
    started = time.monotonic()
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    checkpoint = unfinished / "checkpoint.npz"
    if unfinished.is_dir():
        say(f"source stage {stage.name}: begun before, going on")
    fitted = fit_stage(stage.name, stage.backbone, stage.datasets, before, experiment, checkpoint)
    facts = {"name": stage.name, "description": description}
    _keep(folder, fitted, {**facts, "seconds": round(time.monotonic() - started, 1)})
    shutil.rmtree(unfinished, ignore_errors=True)
    keras.backend.clear_session()


def _keep(folder: Path, fitted: Fitted, facts: dict) -> None:
    """Put a finished stage into the cache in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        done = Path(scratch, "done")
        done.mkdir()
        save_trunk(fitted.trunk, done / TRUNK)
        write_table(done / "history.csv", fitted.history)
        metrics = {}
        for name, (split, scored) in fitted.scores.items():
            write_predictions(done / f"predictions-{name}.csv", scored)
            metrics[name] = {"split": split, **evaluate(scored.truth, scored.prob, scored.labels)}
        atomic_write_json(done / "metrics.json", metrics)
        atomic_write_json(done / "stage.json", {**facts, "images": fitted.images})
        try:
            os.replace(done, folder)
        except OSError:
            if not folder.is_dir():  # else another run was first, with the same stage
                raise
