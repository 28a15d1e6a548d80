"""One cell of a study as a task: Keras doesn't free its models' memory, so in a process."""

from pathlib import Path

from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.runs.description import read_experiment, write_experiment
from cxrkeras.runs.folder import threads_of
from cxrkeras.runs.starts import for_tasks
from cxrkeras.runtime.threads import of_tasks
from cxrkeras.study.plan import Cell
from cxrkeras.study.state import Study
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.task import cache_of, reads
from data_prep.executors import Folder, Task

CELLS = "cells"


def describe_cell(study: Study, cell: Cell) -> Task:
    """Write a cell's description into the study's folder, and make a task of it."""
    write_experiment(description_of(study.out, cell.name), cell.experiment)
    own = RunFolder(study.out)
    needs = (own.fold_table.name, f"{CELLS}/{cell.name}.toml", f"runs/{cell.name}/**/*")
    begun = study.states[cell.name].word == "begun"
    threads = threads_of(study.run_folder(cell)) if begun else None
    return Task(
        cell.name,
        f"{__name__}:run_cell",
        (Folder(study.out.absolute(), needs), cell.name),
        reads=reads(cell.experiment),
        makes=frozenset(cell.stages),
        # Stages may be of any cell, and few are new: a machine apart has its own cache.
        environment={
            **of_tasks(threads),
            **for_tasks(),
            "CXRKERAS_CACHE": cache_of(["stages/*/*"]),
        },
    )


def run_cell(out: Path, name: str) -> None:
    """Task: cross-validate a cell of the study in `out`."""
    experiment = read_experiment(description_of(out, name))
    folds = str(RunFolder(out).fold_table.absolute())
    cross_validate(experiment.model_copy(update={"folds_file": folds}), out / "runs" / name)


def description_of(out: Path, name: str) -> Path:
    """The TOML file of a cell."""
    return out / CELLS / f"{name}.toml"
