"""The missing folds as tasks that don't depend on each other, for any executor."""

from collections.abc import Sequence
from pathlib import Path

from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.runs.folder import threads_of
from cxrkeras.runs.target import Target
from cxrkeras.runtime.threads import of_tasks
from cxrkeras.training.folds import check_start, fold_title
from cxrkeras.training.plan import Plan
from cxrkeras.training.stages.plan import places
from cxrkeras.training.task import cache_of, reads
from data_prep.errors import UserError
from data_prep.executors import Executor, Folder, Task

SOURCES = "sources"
"""The task before the folds: the stages, and the features of frozen trunks."""


def spread_folds(
    executor: Executor, plan: Plan, target: Target, run: Path, folds: Sequence[int]
) -> None:
    """Train the source stages in one task, then fit each fold in a task of its own.

    The result is that of `fit_folds`.

    Raises:
        UserError: sources can't be used; or a task failed, when the others have ended.
    """
    origins = check_start(plan, target, run).origins
    cached = [place for origin in origins for place in places(origin, plan)]
    if plan.recipe.freezes or not all(place.is_dir() for place in cached):
        _carry_out(executor, [_task(SOURCES, "prepare_sources", plan, run, cached)])
    tasks = [_task(fold_title(target, fold), "fit_fold", plan, run, cached, fold) for fold in folds]
    _carry_out(executor, tasks)


def _task(
    name: str, function: str, plan: Plan, run: Path, cached: Sequence[Path], *more: object
) -> Task:
    own = RunFolder(run)
    kept = (own.experiment, own.environment, own.fold_table, own.sources)
    needs = (*(path.name for path in kept), f"{own.loggers.name}/**/*")
    folder = Folder(run.absolute(), needs)
    cache = cache_of([f"stages/{place.name}/*" for place in cached])
    return Task(
        name,
        f"cxrkeras.training.task:{function}",
        (folder, plan.experiment, *more),
        reads=reads(plan.experiment),
        environment={**of_tasks(threads_of(run)), "CXRKERAS_CACHE": cache},
    )


def _carry_out(executor: Executor, tasks: Sequence[Task]) -> None:
    failed = [outcome for outcome in executor.run(tasks) if outcome.reason]
    if not failed:
        return
    names = ", ".join(outcome.task.name for outcome in failed)
    rest = " The others are finished; the same command tries these again."
    raise UserError(
        f"{names} failed. {failed[0].task.name}: {failed[0].reason}"
        + " See why: the same command with --debug, without --executor." * failed[0].crashed
        + rest * (len(tasks) > len(failed))
    )
