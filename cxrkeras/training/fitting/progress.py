"""Progress while a model trains: a bar on a terminal, and a line per epoch."""

import time

import keras

from data_prep.progress import Steps, duration
from data_prep.say import say


class EpochLines(keras.callbacks.Callback):
    """Prints a line per epoch, and on a terminal a bar over its steps.

    Args:
        title: what is trained, e.g. `fold 2/5`.
        epochs: the largest number of epochs.
    """

    def __init__(self, title: str, epochs: int):
        super().__init__()
        self.title, self.epochs = title, epochs
        self._bar = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock and the bar."""
        self._start = time.monotonic()
        self._left = self.epochs - epoch - 1
        title = f"{self.title}, epoch {epoch + 1}/{self.epochs}"
        self._bar = Steps(title, self.params.get("steps") or 0, transient=True).start()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Advance the bar."""
        self._bar.step()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Print the epoch's line; the history gets the learning rate in any case."""
        self._bar.close()
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate.numpy())
        shown = ("loss", "val_loss", "binary_accuracy", "val_binary_accuracy", "learning_rate")
        parts = [f"{name} {logs[name]:.4g}" for name in shown if name in (logs or {})]
        seconds = time.monotonic() - self._start
        took = f"{seconds:.0f} s"
        if self._left * seconds >= 60:
            took += f", at most {duration(self._left * seconds)} left"
        say(f"{self.title}, epoch {epoch + 1}/{self.epochs}: {', '.join(parts)} ({took})")

    def close(self) -> None:
        """Leave no bar behind (nor a terminal without a cursor), even if training was stopped."""
        if self._bar:
            self._bar.close()


class PredictLines(keras.callbacks.Callback):
    """Prints a line when a prediction is done, and on a terminal a bar over its steps."""

    def __init__(self, title: str):
        super().__init__()
        self.title = title
        self._bar = None

    def on_predict_begin(self, logs: dict | None = None) -> None:
        """Start the clock and the bar."""
        self._start = time.monotonic()
        self._bar = Steps(self.title, self.params.get("steps") or 0, transient=True).start()

    def on_predict_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Advance the bar."""
        self._bar.step()

    def on_predict_end(self, logs: dict | None = None) -> None:
        """Print the line."""
        self.close()
        say(f"{self.title}: done ({time.monotonic() - self._start:.0f} s)")

    def close(self) -> None:
        """Leave no bar behind, even if the prediction was stopped."""
        if self._bar:
            self._bar.close()
