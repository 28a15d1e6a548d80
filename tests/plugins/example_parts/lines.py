"""A line of text per epoch."""

from cxrkeras.training.loggers import Logger, Writer


class Part(Logger):
    """Needs no library."""

    def check(self):
        """See `Logger.check`."""

    def open(self, about):
        """See `Logger.open`."""
        return _Lines(about.kept)


class _Lines(Writer):
    def __init__(self, folder):
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def last(self, fit):
        """See `Writer.last`."""
        path = self._folder / f"{fit}.txt"
        return len(path.read_text().splitlines()) if path.is_file() else 0

    def epoch(self, fit, epoch, values):
        """See `Writer.epoch`."""
        with (self._folder / f"{fit}.txt").open("a") as file:
            print(epoch, dict(values), file=file)

    def results(self, scores):
        """See `Writer.results`."""
        (self._folder / "results.txt").write_text(str(dict(scores)))
