"""How far a study is: which cells are done, begun, waiting or failed, judged by its folder."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.runs.folder import is_finished
from cxrkeras.runs.starts import is_begun
from cxrkeras.study.folds import fold_numbers
from cxrkeras.study.plan import Cell
from data_prep.errors import UserError
from data_prep.files import atomic_write_json

FORMAT = 1
CELLS = "cells.json"


@dataclass
class State:
    """How far a cell is.

    Args:
        word: `done`, `begun`, `waiting`, `lacking` (a source is missing) or `failed`.
        folds: how many are finished.
        reason: why it failed or can't begin, in one line.
        seconds: how long its runs took, over all that ended by themselves.
    """

    word: str = "waiting"
    folds: int = 0
    reason: str = ""
    seconds: float = 0.0


@dataclass
class Study:
    """A study's cells and their states.

    Args:
        title: its title.
        out: its folder.
        cells: in the order of its file.
        states: by the cells' names.
    """

    title: str
    out: Path
    cells: list[Cell]
    states: dict[str, State]

    def run_folder(self, cell: Cell) -> Path:
        """The folder of a cell's run."""
        return self.out / "runs" / cell.name

    def look(self, cell: Cell, *, failure: str = "") -> State:
        """Look at a cell's folder and sources again; `failure` is why its last run ended early."""
        state = self.states[cell.name]
        state.word, state.folds, state.reason = self._progress(cell)
        if state.word in ("begun", "waiting"):
            if failure:
                state.word, state.reason = "failed", failure
            elif reason := cell.absent():
                state.word, state.reason = "lacking", reason
        return state

    def _progress(self, cell: Cell) -> tuple[str, int, str]:
        run, folds = self.run_folder(cell), fold_numbers(self.out)
        try:
            if not is_begun(run, cell.experiment):
                return "waiting", 0, ""
        except UserError as error:  # its folder holds another run
            return "failed", 0, str(error)
        finished = sum(is_finished(run, fold) for fold in folds)
        whole = folds and finished == len(folds) and RunFolder(run).metrics.is_file()
        return ("done" if whole else "begun"), finished, ""

    def missing(self, cell: Cell) -> str:
        """What is still to be done for a cell, in words; "" if nothing."""
        state = self.states[cell.name]
        if state.word == "done":
            return ""
        folds = len(fold_numbers(self.out)) or cell.experiment.folds
        stages = len(cell.stages)
        said = f"{folds - state.folds} of {folds} folds"
        return said if state.folds or not stages else f"{said}, up to {stages} source stages"

    def save(self) -> None:
        """Write `cells.json`, from which the tables are made."""
        cells = [
            {
                "name": cell.name,
                "setting": cell.setting,
                "backbone": cell.backbone,
                "recipe": cell.recipe,
                "method": cell.experiment.method,
                "links": [list(chain) for chain in cell.links],
                "weights": _weights(cell),
                **asdict(self.states[cell.name]),
            }
            for cell in self.cells
        ]
        content = {"format": FORMAT, "title": self.title, "cells": cells}
        atomic_write_json(self.out / CELLS, content)


def open_study(title: str, out: Path, cells: list[Cell]) -> Study:
    """See how far a study is; changes nothing.

    Raises:
        UserError: `out` holds something that isn't a study.
    """
    if out.exists() and not (out / CELLS).is_file() and any(_strangers(out)):
        raise UserError(f"{out} holds something that isn't a study. Give another --out.")
    known = _known(out)
    study = Study(title, out, cells, {cell.name: State() for cell in cells})
    for cell in cells:
        before = known.get(cell.name, {})
        study.states[cell.name].seconds = float(before.get("seconds") or 0)
        study.look(cell, failure=before.get("reason", "") if before.get("word") == "failed" else "")
    return study


def _strangers(out: Path) -> list[Path]:
    # Hidden files, and folds without cells, are left by a killed start.
    if not out.is_dir():
        return [out]
    own = {RunFolder(out).fold_table.name, "folds.json"}
    return [path for path in out.iterdir() if path.name not in own and path.name[0] != "."]


def _known(out: Path) -> dict[str, dict]:
    try:
        content = json.loads((out / CELLS).read_text(encoding="utf-8"))
        return {cell["name"]: cell for cell in content["cells"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _weights(cell: Cell) -> list[str]:
    """The links that are weights rather than data: `imagenet`, or a file's name."""
    starts = [trunk.start for trunk in cell.plan if trunk.start]
    return [Path(start.where).name for start in starts]
