"""How long a study has taken, and roughly how long it will still take."""

from collections.abc import Callable, Sequence

from cxrkeras.study.plan import Cell
from cxrkeras.study.state import Study
from data_prep.progress import duration


class Clock:
    """Estimates the remaining time from what the finished cells took.

    A cell is expected to take the mean of the most similar ones: those of the same backbone and
    recipe, or of the same recipe, or all.

    Args:
        study: its states hold the seconds of the finished cells.
        todo: the cells to run, in order.
        now: seconds of a clock.
    """

    def __init__(self, study: Study, todo: Sequence[Cell], now: Callable[[], float]):
        self._study, self._todo, self._now = study, list(todo), now
        self._started = now()

    def where(self, finished: int) -> str:
        """Elapsed and remaining time after `finished` of the cells to run."""
        left = [self._guess(cell) for cell in self._todo[finished:]]
        said = f"{duration(self._now() - self._started)} elapsed"
        if left and all(guess is not None for guess in left):
            said += f", about {duration(sum(left))} left"
        return said

    def _guess(self, cell: Cell) -> float | None:
        states = self._study.states
        done = [c for c in self._study.cells if states[c.name].word == "done"]
        for alike in (
            [c for c in done if (c.backbone, c.recipe) == (cell.backbone, cell.recipe)],
            [c for c in done if c.recipe == cell.recipe],
            done,
        ):
            if alike:
                return sum(states[c.name].seconds for c in alike) / len(alike)
        return None
