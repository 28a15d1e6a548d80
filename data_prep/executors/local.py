"""On this machine, one task after another."""

from collections.abc import Iterator, Sequence

from data_prep.dataset.pool import cores
from data_prep.executors import Executor, Outcome, Task
from data_prep.executors.shared.here import Processes, spread_here
from data_prep.executors.shared.loop import carry_out


class Part(Executor):
    """The default. Files are spread over the cores, or `--workers`."""

    spreads = False

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """See `Executor.run`."""
        yield from carry_out(tasks, Processes(1, gathered=False))

    def spread(self, work, items, limits=None, *, workers=None, folder=None, reads=()):
        """See `Executor.spread`."""
        yield from spread_here(work, items, limits, workers, folder)

    def cores_each(self) -> int:
        """See `Executor.cores_each`."""
        return cores()

    def room(self) -> int:
        """See `Executor.room`."""
        return 1
