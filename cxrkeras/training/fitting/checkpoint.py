"""The state of a fit after each epoch, kept in a file, so that a killed training can resume."""

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from cxrkeras.runtime import machines
from data_prep.files import replacing


class Checkpoint(keras.callbacks.Callback):
    """Collects the logs of all epochs and, given a path, saves what the next epoch starts from.

    It must be the last callback. A resumed fit ends with the same bits as one that was never
    stopped: every variable is restored, and the other callbacks are brought up to date from the
    logs.

    Args:
        path: the file, or None to keep nothing.
        variables: all that change during the fit, including the optimiser's and random states.
        callbacks: the callbacks before this one, whose state follows from the logs.
        restored: called once variables were restored.
    """

    def __init__(
        self,
        path: Path | None,
        variables: Sequence[keras.Variable],
        callbacks: Sequence[keras.callbacks.Callback],
        restored: Callable[[], None] = lambda: None,
    ):
        super().__init__()
        self.logs: list[dict[str, float]] = []
        self._path, self._variables, self._others = path, list(variables), list(callbacks)
        self._restored = restored
        self._values: list[np.ndarray] = []
        self._best: list[np.ndarray] = []

    def resume(self, epochs: int) -> int:
        """Read the file and return the epoch to resume from, or `epochs` if none is left."""
        kept = self._read()
        done = len(kept[0]["logs"]) if kept else 0
        machines.check_agreement(done, "numbers of finished epochs")
        if kept is None:
            return 0
        state, self._values, self._best = kept
        self.logs = state["logs"]
        return epochs if state["stopped"] else len(self.logs)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Restore the state."""
        for epoch, known in enumerate(self.logs):
            for callback in self._others:
                callback.on_epoch_end(epoch, dict(known))
        for callback in filter(_keeps_best, self._others):
            callback.best_weights = self._best or None
        for variable, value in zip(self._variables, self._values, strict=False):
            variable.assign(value)
        if self._values:
            self._restored()
        self.model.stop_training = False
        self._values = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Note the logs and save the state."""
        self.logs.append(dict(logs or {}))
        if self._path is None or machines.machine():
            return
        best = [w for c in filter(_keeps_best, self._others) for w in c.best_weights or []]
        state = {"logs": self.logs, "stopped": bool(self.model.stop_training)}
        arrays = {f"v{n}": variable.numpy() for n, variable in enumerate(self._variables)}
        arrays |= {f"b{n}": value for n, value in enumerate(best)}
        with replacing(self._path, ".npz") as temporary:
            np.savez(temporary, state=np.array(json.dumps(state)), **arrays)

    def _read(self) -> tuple[dict, list[np.ndarray], list[np.ndarray]] | None:
        if self._path is None or not self._path.is_file():
            return None
        try:
            with self._path.open("rb") as file, np.load(file) as kept:
                state = json.loads(str(kept["state"]))
                values = [kept[f"v{n}"] for n in range(len(self._variables))]
                best = [kept[f"b{n}"] for n in range(sum(k.startswith("b") for k in kept))]
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            return None  # not ours, or another layout: training starts anew
        fits = all(
            v.shape == tuple(var.shape) for v, var in zip(values, self._variables, strict=True)
        )
        return (state, values, best) if fits else None


def _keeps_best(callback: keras.callbacks.Callback) -> bool:
    return isinstance(callback, keras.callbacks.EarlyStopping)
