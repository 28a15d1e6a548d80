"""Pretraining: a method's source stages without a target, in a folder of their own."""

import json
import shutil
from pathlib import Path

from cxrkeras import runtime
from cxrkeras.data.dataset import open_dataset
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.target import check_uncertain
from cxrkeras.runtime.machines import machine
from cxrkeras.training.plan import resolve
from data_prep.errors import UserError
from data_prep.files import replacing


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
    from cxrkeras.training.stages.plan import Stage, describe, plan_stages, trained_stage

    folders = []
    for number in range(len(plan.trunks)):
        origin = plan_stages(plan, number, target)
        if isinstance(origin, Stage):
            folder = out if len(plan.trunks) == 1 else out / f"trunk_{number + 1}"
            _refuse_other(folder, describe(origin, plan))
            stage = trained_stage(origin, plan, folder)
            if machine():  # the first of several machines writes
                folders.append(stage)
                continue
            _copy(stage, folder)
            folders.append(folder)
    return folders


def _refuse_other(folder: Path, description: dict) -> None:
    stage = folder / "stage.json"
    if stage.is_file():
        if json.loads(stage.read_text(encoding="utf-8"))["description"] == description:
            return
        raise UserError(f"{folder} holds another trunk. Give another --out, or remove that folder.")
    if folder.is_dir() and any(path.name != "stages" for path in folder.iterdir()):
        raise UserError(f"{folder} holds something else. Give another --out.")


def _copy(stage: Path, folder: Path) -> None:
    """Copy a finished stage's files; first its description, which claims the folder."""
    files = sorted(stage.iterdir(), key=lambda path: path.name != "stage.json")
    for path in files:
        with replacing(folder / path.name) as temporary:
            shutil.copyfile(path, temporary)
