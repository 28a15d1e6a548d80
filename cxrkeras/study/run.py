"""Runs what is missing of a study, one cell after another, and writes its tables."""

import time
from collections import Counter
from collections.abc import Callable, Sequence

from cxrkeras.runs.description import write_experiment
from cxrkeras.study.cell import Runner, run_cell
from cxrkeras.study.clock import Clock
from cxrkeras.study.file import StudyFile
from cxrkeras.study.folds import share_folds
from cxrkeras.study.plan import Cell, shared_experiment
from cxrkeras.study.report.report import write_study
from cxrkeras.study.report.words import plural
from cxrkeras.study.state import Study
from data_prep.errors import UserError
from data_prep.progress import duration
from data_prep.say import say


def run_study(
    study: Study,
    file: StudyFile,
    chosen: Sequence[Cell],
    *,
    runner: Runner = run_cell,
    now: Callable[[], float] = time.monotonic,
) -> list[Cell]:
    """Run what is missing of the chosen cells, rewriting the tables after each.

    Args:
        study: from `open_study`.
        file: the file from which it was planned.
        chosen: the cells to run, in order.
        runner: runs one cell.
        now: seconds of a clock.

    Returns:
        The chosen cells that aren't done; their states say why.

    Raises:
        UserError: the target or its folds can't be used, or the folder can't be written.
    """
    _begin(study, file)
    states = [study.look(cell) for cell in chosen]  # failed cells are tried again
    todo = [c for c, s in zip(chosen, states, strict=True) if s.word in ("begun", "waiting")]
    study.save()
    for reason, count in Counter(state.reason for state in states if state.reason).items():
        say(f"{plural(count, 'cell')} left out: {reason}")
    finished = sum(state.word == "done" for state in states)
    say(f"{plural(len(chosen), 'cell')}: {finished} already done, {len(todo)} to run")
    clock = Clock(study, todo, now)
    for number, cell in enumerate(todo, start=1):
        say(f"cell {number} of {len(todo)}, {cell.name}: {clock.where(number - 1)}")
        _run(study, cell, runner, now)
        write_study(study.out)
    if not todo:
        write_study(study.out)
    return [cell for cell in chosen if study.states[cell.name].word != "done"]


def _begin(study: Study, file: StudyFile) -> None:
    try:
        study.out.mkdir(parents=True, exist_ok=True)
        share_folds(study.out, shared_experiment(file))
    except OSError as error:
        raise UserError(f"--out {study.out} can't be written: {error.strerror}.") from error


def _run(study: Study, cell: Cell, runner: Runner, now: Callable[[], float]) -> None:
    description = study.out / "cells" / f"{cell.name}.toml"
    write_experiment(description, cell.experiment)
    started = now()
    state = study.states[cell.name]
    try:
        failure = runner(description, study.run_folder(cell))
    finally:
        state.seconds += now() - started
        study.save()
    state = study.look(cell, failure=failure or "")
    study.save()
    if failure:
        say(f"{cell.name} failed: {failure}")
    else:
        say(f"{cell.name}: done in {duration(state.seconds)}")
