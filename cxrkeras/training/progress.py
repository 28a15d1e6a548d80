"""What a person sees while a model trains: a bar on a terminal, a line per epoch elsewhere."""

import time

import keras
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cxrkeras.training.say import console, say


class _Bar:
    """A bar that vanishes when it is full; nothing where no terminal is."""

    def __init__(self, title: str, steps: int | None):
        self._progress = None
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=console, transient=True)
            self._task = self._progress.add_task(title, total=steps)
            self._progress.start()

    def advance(self) -> None:
        if self._progress:
            self._progress.advance(self._task)

    def close(self) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = None


class EpochLines(keras.callbacks.Callback):
    """A line per epoch, and on a terminal a bar over its steps.

    Args:
        title: what is trained, e.g. `fold 2/5`.
        epochs: how many at most.
    """

    def __init__(self, title: str, epochs: int):
        super().__init__()
        self.title, self.epochs = title, epochs

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock and the bar."""
        self._start = time.monotonic()
        self._bar = _Bar(f"{self.title}, epoch {epoch + 1}/{self.epochs}", self.params.get("steps"))

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Advance the bar."""
        self._bar.advance()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Print the epoch's line."""
        self._bar.close()
        shown = ("loss", "val_loss", "binary_accuracy", "val_binary_accuracy", "learning_rate")
        parts = [f"{name} {logs[name]:.4g}" for name in shown if name in (logs or {})]
        seconds = time.monotonic() - self._start
        say(f"{self.title}, epoch {epoch + 1}/{self.epochs}: {', '.join(parts)} ({seconds:.0f} s)")

    def on_train_end(self, logs: dict | None = None) -> None:
        """Leave no bar behind."""
        self._bar.close()


class PredictLines(keras.callbacks.Callback):
    """A line when a prediction is done, and on a terminal a bar over its steps."""

    def __init__(self, title: str):
        super().__init__()
        self.title = title

    def on_predict_begin(self, logs: dict | None = None) -> None:
        """Start the clock and the bar."""
        self._start = time.monotonic()
        self._bar = _Bar(self.title, self.params.get("steps"))

    def on_predict_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Advance the bar."""
        self._bar.advance()

    def on_predict_end(self, logs: dict | None = None) -> None:
        """Print the line."""
        self._bar.close()
        say(f"{self.title}: done ({time.monotonic() - self._start:.0f} s)")
