"""Several processes on this machine, for one with many cores or GPUs."""

from collections.abc import Iterator, Sequence

from data_prep.dataset.pool import cores
from data_prep.errors import UserError
from data_prep.executors import Executor, Outcome, Task
from data_prep.executors.shared.here import Processes, spread_here
from data_prep.executors.shared.loop import carry_out
from data_prep.registry import option


class Part(Executor):
    """Each task has as much memory as it would have alone: see that there is enough for all."""

    main = "count"
    count: int = option(2, "Tasks at once; decoding processes, where files are spread.", ge=1)
    gpus: int | None = option(
        None, "GPUs of each task; tasks see all, and share them, if not given.", ge=1
    )

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """See `Executor.run`."""
        yield from carry_out(tasks, self._crew())

    def spread(self, work, items, limits=None, *, workers=None, folder=None, reads=()):
        """See `Executor.spread`."""
        yield from spread_here(work, items, limits, self.count, folder)

    def cores_each(self) -> int:
        """See `Executor.cores_each`."""
        return max(1, cores() // self.room())

    def room(self) -> int:
        """See `Executor.room`."""
        return self._crew().count

    def _crew(self) -> Processes:
        crew = Processes(self.count, self.gpus)
        if not crew.count:
            raise UserError(
                f"--gpus-per-task {self.gpus} needs as many GPUs on this machine, of which there "
                "are fewer. Leave it out, or lower it."
            )
        return crew
