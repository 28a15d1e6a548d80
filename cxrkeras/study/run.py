"""Runs what is missing of a study, cell by cell, and writes its tables."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing

from cxrkeras.study.cell import describe_cell, description_of
from cxrkeras.study.clock import Clock
from cxrkeras.study.file import StudyFile
from cxrkeras.study.folds import share_folds
from cxrkeras.study.plan import Cell, shared_experiment
from cxrkeras.study.report.report import write_study
from cxrkeras.study.report.words import plural
from cxrkeras.study.state import Study
from data_prep.errors import UserError
from data_prep.executors import Executor, Outcome
from data_prep.executors.local import Part as Local
from data_prep.progress import duration
from data_prep.say import say

_HERE = Local()


def run_study(
    study: Study,
    file: StudyFile,
    chosen: Sequence[Cell],
    *,
    executor: Executor = _HERE,
    now: Callable[[], float] = time.monotonic,
) -> list[Cell]:
    """Run what is missing of the chosen cells, rewriting the tables as they end.

    Args:
        study: from `open_study`.
        file: the file from which it was planned.
        chosen: the cells to run, in order.
        executor: where the cells are run.
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
    if todo:
        _run(study, todo, executor, now)
    else:
        write_study(study.out)
    return [cell for cell in chosen if study.states[cell.name].word != "done"]


def _begin(study: Study, file: StudyFile) -> None:
    try:
        study.out.mkdir(parents=True, exist_ok=True)
        share_folds(study.out, shared_experiment(file))
    except OSError as error:
        raise UserError(f"--out {study.out} can't be written: {error.strerror}.") from error


def _run(study: Study, todo: Sequence[Cell], executor: Executor, now: Callable[[], float]) -> None:
    clock, cells = Clock(study, todo, now), {cell.name: cell for cell in todo}
    tasks = [describe_cell(study, cell) for cell in todo]
    with closing(executor.run(tasks)) as outcomes:
        for number in range(len(todo)):
            if executor.spreads:
                say(f"{number} of {plural(len(todo), 'cell')} ended")
            else:
                say(f"cell {number + 1} of {len(todo)}, {todo[number].name}: {clock.where(number)}")
            _note(study, cells, next(outcomes))
            write_study(study.out)


def _note(study: Study, cells: dict[str, Cell], outcome: Outcome) -> None:
    cell = cells[outcome.task.name]
    state = study.states[cell.name]
    state.seconds += outcome.seconds
    reason = outcome.reason
    if outcome.crashed:
        description, run = description_of(study.out, cell.name), study.run_folder(cell)
        reason += f" See why: cxrkeras --debug cv --config {description} --out {run}"
    study.look(cell, failure=reason)
    study.save()
    if reason:
        say(f"{cell.name} failed: {reason}")
    else:
        say(f"{cell.name}: done in {duration(state.seconds)}")
