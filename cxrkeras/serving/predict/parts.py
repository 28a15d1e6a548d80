"""Many files in parts, each scored by a task of its own: the same batches, so the same scores."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cxrkeras.runtime.threads import of_tasks
from cxrkeras.serving.predict.predict import Row
from cxrkeras.serving.predict.unseen import OwnImages
from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.predictor.read import read_card
from data_prep.errors import UserError
from data_prep.executors import Executor, Task

_MOST = 256  # batches of a part: what a lost machine loses


def scored_in_parts(
    executor: Executor,
    card: Card,
    files: Sequence[Path],
    own: OwnImages,
    settings: dict,
    size: int,
    *,
    traced: bool,
) -> tuple[list[Row], np.ndarray]:
    """What `run.scored` gives, by tasks.

    Args:
        executor: where.
        card: of the model.
        files: N.
        own: images that the model learnt from.
        settings: of `FilmStream`.
        size: images per batch; parts hold whole batches.
        traced: whether a graph is worth its tracing, over all files.

    Raises:
        UserError: a part failed, when the others have ended.
    """
    batches = -(-len(files) // size)
    step = size * min(_MOST, -(-batches // executor.room()))
    starts = range(0, len(files), step)
    if settings["workers"] is None:
        settings = {**settings, "workers": executor.cores_each()}
    card = read_card(card.path.absolute())  # wherever a task runs
    places = [Path(os.path.abspath(file)) for file in files]
    folder = Path(os.path.commonpath([place.parent for place in places]))
    tasks = []
    for number, first in enumerate(starts, start=1):
        mine = slice(first, first + step)
        told = settings.get("table")
        how = settings if told is None else {**settings, "table": told[mine]}
        tasks.append(
            Task(
                f"part {number}/{len(starts)}",
                "cxrkeras.serving.predict.run:scored",
                (card, places[mine], own, how, size, traced),
                reads=(card.path, folder),
                environment=of_tasks(None),
            )
        )
    return _joined(list(executor.run(tasks)), tasks, files)


def _joined(outcomes: list, tasks: list[Task], files: Sequence[Path]) -> tuple[list, np.ndarray]:
    if failed := [outcome for outcome in outcomes if outcome.reason]:
        names = ", ".join(outcome.task.name for outcome in failed)
        raise UserError(
            f"{names} of the files failed. {failed[0].reason}"
            + " See why: the same command with --debug, without --executor." * failed[0].crashed
        )
    found = {outcome.task.name: outcome.value for outcome in outcomes}
    parts = [found[task.name] for task in tasks]
    rows = [row for part, _ in parts for row in part]
    given = [replace(row, path=path) for row, path in zip(rows, files, strict=True)]
    return given, np.concatenate([scores for _, scores in parts])
