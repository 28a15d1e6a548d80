"""How long a study has taken, and about how long it still takes."""

from collections.abc import Callable, Sequence

from cxrkeras.study.plan import Cell
from cxrkeras.study.state import Study
from data_prep.progress import duration


class Clock:
    """Reckons what is left from what the cells done so far took.

    A cell is reckoned to take the mean of those most like it: of the same backbone and recipe,
    else of the same recipe, else of all.

    Args:
        study: its states know the seconds of the cells that are done.
        todo: the cells to run, in order.
        now: seconds of a clock.
    """

    def __init__(self, study: Study, todo: Sequence[Cell], now: Callable[[], float]):
        self._study, self._todo, self._now = study, list(todo), now
        self._started = now()

    def where(self, finished: int) -> str:
        """Elapsed and remaining time, when `finished` of the cells to do have been run."""
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
