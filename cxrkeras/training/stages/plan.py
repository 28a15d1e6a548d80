"""Source stages: a trunk trained on other data, once, and cached under its description."""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import keras

from cxrkeras import runtime
from cxrkeras.data.dataset import PreparedDataset, open_dataset
from cxrkeras.data.labels.meanings import Meanings
from cxrkeras.data.labels.uncertain import policies_for
from cxrkeras.evaluation.scores.metrics import evaluate
from cxrkeras.evaluation.scores.predictions import write_predictions
from cxrkeras.models.architecture import Architecture
from cxrkeras.models.weights.trunk import fingerprint, save_trunk
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.folder import write_table
from cxrkeras.runs.sources import Weights
from cxrkeras.runtime import machines
from cxrkeras.training.plan import Plan
from cxrkeras.training.stages.cache import alone, cache_folder
from cxrkeras.training.stages.fit import MERGED, Fitted, fit_stage
from cxrkeras.training.stages.overlap import without_target
from data_prep.files import atomic_write_json
from data_prep.say import say

FORMAT = 6
"""The version of trained results: raise it when a change invalidates stages, features and folds."""
TRUNK = "trunk.weights.h5"


@dataclass(frozen=True)
class Stage:
    """One training before the target.

    Args:
        name: the datasets' names, joined by `+`.
        architecture: that of the network being trained.
        before: the stage or weights from which it starts; None for a random start.
        datasets: by name.
    """

    name: str
    architecture: Architecture
    before: "Stage | Weights | None"
    datasets: dict[str, PreparedDataset]


def plan_stages(plan: Plan, trunk: int, target: PreparedDataset | None) -> "Stage | Weights | None":
    """The last thing from which a trunk learns before the target, with everything before it.

    The target's images, copies of them, and other images of its patients are removed from every
    source: what a fold holds out must not have been seen.

    Args:
        plan: what is to be done.
        trunk: which of its trunks.
        target: the data that no source may contain; None if there is no target.

    Raises:
        UserError: a source isn't a prepared dataset, or lacks the wanted labels.
    """
    origin: Stage | Weights | None = plan.trunks[trunk].start
    own = (plan.architecture.backbones[trunk],)
    architecture = replace(plan.architecture, backbones=own)
    for links in plan.trunks[trunk].stages:
        datasets = {}
        for link in links:
            dataset = open_dataset(link.folder, plan.experiment.labels_of(link.name))
            datasets[link.name] = without_target(dataset, link, target) if target else dataset
        origin = Stage("+".join(datasets), architecture, origin, datasets)
    return origin


def describe(origin: "Stage | Weights | None", plan: Plan) -> dict | str | None:
    """Everything on which the trunk's weights depend, as JSON."""
    if origin is None or isinstance(origin, Weights):
        return fingerprint(origin) if origin else None
    experiment, architecture = plan.experiment, origin.architecture
    several = len(origin.datasets) > 1  # a single dataset has one head either way
    return {
        **on_backend(),
        "format": FORMAT,
        "backbone": architecture.backbones[0].described(),
        "head": architecture.head.described(),
        "loss": plan.loss.described(),
        "augment": plan.source_augment.described(),
        **({"transform": plan.transform.described()} if plan.transform else {}),
        "epochs": experiment.source_epochs or experiment.epochs,
        "validation": plan.source_validation,
        **({"joint": experiment.joint} if several else {}),
        **(_meanings(origin.datasets) if several and experiment.joint == MERGED else {}),
        "before": describe(origin.before, plan),
        "datasets": {
            name: dataset.fingerprint_with(architecture.inputs)
            for name, dataset in origin.datasets.items()
        },
        "uncertain": {
            name: _policies(dataset, experiment) for name, dataset in origin.datasets.items()
        },
        "settings": experiment.deciding("stage"),
    }


def on_backend() -> dict[str, str]:
    """What a description says of Keras's backend, which has its own initial weights and draws.

    It says nothing for TensorFlow, so that what was cached before there was a choice is still
    found.
    """
    backend = runtime.backend()
    return {} if backend == runtime.TENSORFLOW else {"backend": backend}


def _meanings(datasets: Mapping[str, PreparedDataset]) -> dict[str, dict]:
    """Where a user's vocabulary decides which labels are one."""
    meaning = Meanings.of(dataset.spellings for dataset in datasets.values())
    used = {name: meaning.used(dataset.labels) for name, dataset in datasets.items()}
    return {"meanings": used} if any(used.values()) else {}


def _policies(dataset: PreparedDataset, experiment: Experiment) -> dict[str, str]:
    """What -1 means for the labels that have it; for others no policy changes anything."""
    policies = policies_for(experiment.uncertain, dataset.labels)
    asked = (dataset.codes == -1).any(axis=0)
    return {
        label: policy
        for label, policy, is_asked in zip(dataset.labels, policies, asked, strict=True)
        if is_asked
    }


def trained(origin: "Stage | Weights | None", plan: Plan, run: Path) -> Weights | None:
    """The weights from which a trunk starts on the target; trains stages that aren't cached.

    Args:
        origin: from `plan_stages`.
        plan: the run's.
        run: the run folder, whose `stages/` gets each stage's description, history and scores.
    """
    if origin is None or isinstance(origin, Weights):
        return origin
    return Weights(str(trained_stage(origin, plan, run) / TRUNK))


def trained_stage(stage: Stage, plan: Plan, run: Path) -> Path:
    """The cached folder of a stage, trained now or earlier; see `trained`."""
    description = describe(stage, plan)
    folder = _place(description)
    before = trained(stage.before, plan, run)
    several = machines.several_machines()  # they train it together
    with nullcontext() if several else alone(folder, f"source stage {stage.name}"):
        is_trained = folder.is_dir()
        machines.check_agreement(int(is_trained), "trained stages")
        if is_trained:
            say(f"source stage {stage.name}: already trained, reused")
        else:
            _train(stage, before, plan, description, folder)
    _record(folder, run / "stages" / f"{stage.name}-{folder.name[:6]}")
    return folder


def places(origin: "Stage | Weights | None", plan: Plan) -> list[Path]:
    """Where the cache has, or will have, a stage and those before it."""
    found = []
    while isinstance(origin, Stage):
        found.append(_place(describe(origin, plan)))
        origin = origin.before
    return found


def _place(description: dict) -> Path:
    key = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]
    return cache_folder() / "stages" / key


def _record(folder: Path, copy: Path) -> None:
    copy.mkdir(parents=True, exist_ok=True)
    for name in ("stage.json", "history.csv", "metrics.json"):
        shutil.copyfile(folder / name, copy / name)


def _train(
    stage: Stage, before: Weights | None, plan: Plan, description: dict, folder: Path
) -> None:
    started = time.monotonic()
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    checkpoint = unfinished / "checkpoint.npz"
    if unfinished.is_dir():
        say(f"source stage {stage.name}: resumed")
    fitted = fit_stage(
        plan, stage.architecture, stage.datasets, before, name=stage.name, checkpoint=checkpoint
    )
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
            if not folder.is_dir():  # otherwise another run was first, with the same stage
                raise
