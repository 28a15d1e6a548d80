"""Pretraining: a method's source stages without a target, in a folder of their own."""

import json
import shutil
from pathlib import Path

from cxrkeras import runtime
from cxrkeras.data.dataset import open_dataset
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.starts import command_line
from cxrkeras.runs.target import check_uncertain
from cxrkeras.runtime.machines import machine
from cxrkeras.training.plan import Plan, resolve
from cxrkeras.training.watching.watch import watched
from data_prep.errors import UserError
from data_prep.files import replacing
from data_prep.say import logged, note


def pretrain(experiment: Experiment, out: Path) -> list[Path]:
    """Train a method's trunks, or complete them.

    Args:
        experiment: the description. If `data` is given, its images and patients are left out of the
            sources, as in `cross_validate`, which then finds the same stages.
        out: a folder, created if necessary. It gets `trunk.weights.h5` with its history, scores and
            predictions, and in `stages/` what was trained on the way. With several trunks they are
            in folders `trunk_1`, `trunk_2`, …

    Returns:
        The folders that hold the trunks; on all but the first of several machines they are in the
        cache.

    Raises:
        UserError: sources or settings can't be used, or the folder holds something else.
    """
    plan = resolve(experiment)
    if not any(trunk.stages for trunk in plan.trunks):
        raise UserError(
            "Pretraining needs a dataset to train on: --source imagenet,NAME=DIR. "
            f"Received: {', '.join(experiment.source) or 'no --source'}."
        )
    check_uncertain(experiment)
    target = None
    if experiment.data:
        target = open_dataset(Path(experiment.data), experiment.labels_of())
    runtime.start(fast=experiment.fast, devices=experiment.devices, machines=True)
    from cxrkeras.training.stages.plan import Stage, describe, plan_stages

    origins = [plan_stages(plan, number, target) for number in range(len(plan.trunks))]
    places = [out if len(origins) == 1 else out / f"trunk_{n + 1}" for n in range(len(origins))]
    wanted = [
        (origin, folder)
        for origin, folder in zip(origins, places, strict=True)
        if isinstance(origin, Stage)
    ]
    for origin, folder in wanted:
        _refuse_other(folder, describe(origin, plan))
    if machine():  # the first of several machines writes
        return [_trained(origin, plan, folder) for origin, folder in wanted]
    with watched(experiment, out) as watch, logged(RunFolder(out).train_log) as log:
        _make(out)
        log.open()
        watch.open()
        note(f"started: {command_line()}")
        for origin, folder in wanted:
            _copy(_trained(origin, plan, folder), folder)
    return [folder for _, folder in wanted]


def _trained(origin, plan: Plan, folder: Path) -> Path:
    from cxrkeras.training.stages.plan import trained_stage

    return trained_stage(origin, plan, folder)


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out} can't be written: {error.strerror}.") from error


def _refuse_other(folder: Path, description: dict) -> None:
    stage = folder / "stage.json"
    if stage.is_file():
        if json.loads(stage.read_text(encoding="utf-8"))["description"] == description:
            return
        raise UserError(f"{folder} holds another trunk. Give another --out, or remove that folder.")
    own = RunFolder(folder)
    begun = {path.name for path in (own.stages, own.train_log, own.loggers)}
    if folder.is_dir() and any(path.name not in begun for path in folder.iterdir()):
        raise UserError(f"{folder} holds something else. Give another --out.")


def _copy(stage: Path, folder: Path) -> None:
    """Copy a finished stage's files; first its description, which claims the folder."""
    files = sorted(stage.iterdir(), key=lambda path: path.name != "stage.json")
    for path in files:
        with replacing(folder / path.name) as temporary:
            shutil.copyfile(path, temporary)
