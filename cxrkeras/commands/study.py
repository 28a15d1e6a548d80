"""`cxrkeras study`: a grid of ways to transfer, on the same folds, into the study's tables."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrkeras.commands.shared.executing import executing
from cxrkeras.commands.shared.helping import Verb
from data_prep.errors import UserError

if TYPE_CHECKING:
    from cxrkeras.study.plan import Cell
    from cxrkeras.study.state import Study


@click.command(cls=Verb)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder. [default: runs/FILE's name]")
@click.option(
    "--only",
    metavar="PATTERN",
    multiple=True,
    help="Run only the cells whose names contain PATTERN, or match it if it has * or ?. "
    "Repeatable.",
)
@click.option(
    "--list", "listed", is_flag=True, help="Show the cells and their progress; run nothing."
)
@executing("cells are run")
def command(file: Path, out: Path | None, only: tuple[str, ...], listed: bool, executor) -> None:
    """Run what is missing of the study described by FILE, and write its tables.

    Each cell is one `cxrkeras cv` into OUT/runs/NAME. All are scored on the same folds and the
    same test set (OUT/folds.csv), and source stages are trained once for all. Paths in FILE are
    relative to the folder in which the command is run.

    A study can be stopped or killed at any time; the same command resumes it. If a cell fails, the
    reason is noted and the others continue.

    \b
    Examples:
      cxrkeras study experiments/study.toml --list
      cxrkeras study experiments/study.toml --out runs/study
      cxrkeras study experiments/study.toml --out runs/study --only frozen-densenet121
      cxrkeras study experiments/study.toml --out runs/study --only 'finetune-*-mixed-*'
      cxrkeras study experiments/study.toml --out runs/study --executor ray=10.0.0.1:6379
    """
    from cxrkeras.evaluation.run_folder import RunFolder
    from cxrkeras.study.file import read_study
    from cxrkeras.study.plan import in_order, plan_cells
    from cxrkeras.study.state import open_study

    description = read_study(file)
    out = out or Path("runs") / file.stem
    cells = plan_cells(description, (RunFolder(out).fold_table).absolute())
    study = open_study(file.stem, out, cells)
    chosen = in_order(_chosen(cells, only))
    if listed:
        _list(study, chosen)
        return
    from cxrkeras.study.run import run_study

    _close(study, run_study(study, description, chosen, executor=executor))


def _chosen(cells: "list[Cell]", only: tuple[str, ...]) -> "list[Cell]":
    if not only:
        return cells
    patterns = [p if set(p) & set("*?[") else f"*{p}*" for p in only]
    chosen = [cell for cell in cells if any(fnmatchcase(cell.name, p) for p in patterns)]
    if not chosen:
        raise UserError(
            f"--only fits none of the {len(cells)} cells. Received: {', '.join(only)}. "
            f"A name: {cells[0].name}. --list shows all."
        )
    return chosen


def _list(study: "Study", chosen: "list[Cell]") -> None:
    width = max(len(cell.name) for cell in chosen)
    for number, cell in enumerate(chosen, start=1):
        state = study.states[cell.name]
        missing = state.reason or study.missing(cell)
        click.echo(f"{number:3} {cell.name:{width}}  {state.word:7}  {missing}".rstrip())
    done = sum(study.states[cell.name].word == "done" for cell in chosen)
    click.echo(f"{done} of {len(chosen)} cells are done.")


def _close(study: "Study", failed: "list[Cell]") -> None:
    done = sum(state.word == "done" for state in study.states.values())
    click.echo(f"{done} of {len(study.cells)} cells are done.")
    click.echo(f"Tables: {study.out / 'study.md'}, {study.out / 'study.csv'}")
    click.echo(f"Report: {study.out / 'study.html'}")
    if failed:
        raise UserError(
            f"{len(failed)} of the cells failed or lack a source: "
            f"{', '.join(cell.name for cell in failed)}. The reasons are in "
            f"{study.out / 'study.md'}; the same command tries them again."
        )
