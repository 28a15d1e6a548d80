"""Progress while a model trains: a bar on a terminal, and a line per epoch."""

import time
from collections.abc import Mapping

import keras

from cxrkeras.training.watching.validation import Seen
from cxrkeras.training.watching.watch import tell_epoch
from data_prep.progress import Steps, duration
from data_prep.say import detail, say

_SHOWN = ("loss", "val_loss", "val_auroc", "learning_rate")
_WORDS = {
    "loss": "loss",
    "val_loss": "validation loss",
    "val_auroc": "validation AUROC",
    "learning_rate": "learning rate",
}


class EpochLines(keras.callbacks.Callback):
    """Prints a line per epoch, and on a terminal a bar over its steps. The first callback.

    Args:
        title: what is trained, e.g. `fold 2/5`.
        epochs: the largest number of epochs.
        entries: known entries of a batch, if the loss is a sum over them: means are shown.
        judged: whether what is validated is what will predict, so that it has an AUROC.
    """

    def __init__(
        self, title: str, epochs: int, *, entries: float | None = None, judged: bool = True
    ):
        super().__init__()
        self.title, self.epochs = title, epochs
        self._entries, self._judged = entries, judged
        self._bar = None
        self._seen = Seen()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock and the bar."""
        self._start = time.monotonic()
        self._left = self.epochs - epoch - 1
        title = f"{self.title}, epoch {epoch + 1}/{self.epochs}"
        self._bar = Steps(title, self.params.get("steps") or 0, transient=True).start()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Advance the bar."""
        self._bar.step()

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Forget what was validated before."""
        self._seen = Seen()

    def on_test_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Keep what the network says of a batch."""
        self._seen.add(logs or {})

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Print the epoch's line; the history gets the learning rate in any case."""
        self._bar.close()
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate.numpy())
        told = self._means(logs or {})
        parts = [f"{_WORDS[name]} {_figure(name, told[name])}" for name in _SHOWN if name in told]
        seconds = time.monotonic() - self._start
        took = f"{seconds:.0f} s"
        if self._left * seconds >= 60:
            took += f", at most {duration(self._left * seconds)} left"
        where = f"{self.title}, epoch {epoch + 1}/{self.epochs}"
        say(f"{where}: {', '.join(parts)} ({took})")
        rest = [f"{name} {value:.4g}" for name, value in (logs or {}).items() if name not in _SHOWN]
        detail(f"{where}: {', '.join(rest)}")
        tell_epoch(self.title, epoch + 1, {**(logs or {}), **_renamed(told, logs or {})})

    def _means(self, logs: Mapping[str, float]) -> dict[str, float]:
        """What is shown: losses per entry, and the validation AUROC if labels have one."""
        told = {name: logs[name] for name in _SHOWN if name in logs}
        if self._entries:
            told["loss"] /= self._entries
            if "val_loss" in told:
                told["val_loss"] /= self._seen.entries or 1
        if self._judged and (auroc := self._seen.auroc()) is not None:
            told["val_auroc"] = auroc
        return told

    def close(self) -> None:
        """Leave no bar behind (nor a terminal without a cursor), even if training was stopped."""
        if self._bar:
            self._bar.close()


def _figure(name: str, value: float) -> str:
    return f"{value:.3f}" if name == "val_auroc" else f"{value:.4g}"


def _renamed(told: Mapping[str, float], logs: Mapping[str, float]) -> dict[str, float]:
    """Means beside the sums that `history.csv` has under the same names."""
    return {
        name if logs.get(name, value) == value else name.replace("loss", "mean_loss"): value
        for name, value in told.items()
    }


class PredictLines(keras.callbacks.Callback):
    """Prints a line when a prediction is done, and on a terminal a bar over its steps."""

    def __init__(self, title: str):
        super().__init__()
        self.title = title
        self._bar = None

    def on_predict_begin(self, logs: dict | None = None) -> None:
        """Start the clock and the bar."""
        self._start = time.monotonic()
        self._bar = Steps(
            f"{self.title}, batches", self.params.get("steps") or 0, transient=True
        ).start()

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
