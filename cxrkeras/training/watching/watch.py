"""Loggers of a run: opened with it, told its epochs, and left out as soon as one fails."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.registry import LOGGERS
from cxrkeras.runs.experiment import Experiment
from cxrkeras.training.loggers import About, Writer
from data_prep.say import say


class Watch:
    """The loggers of one run.

    Args:
        experiment: the run's, which names them.
        folder: the run's.

    Raises:
        UserError: one lacks its library.
    """

    def __init__(self, experiment: Experiment, folder: Path):
        self._parts = {LOGGERS.name_of(text): LOGGERS.make(text) for text in experiment.log}
        for part in self._parts.values():
            part.check()
        self._experiment, self._folder = experiment, folder.absolute()
        self._writers: dict[str, Writer] = {}
        self._last: dict[tuple[str, str], int] = {}

    def open(self) -> None:
        """Begin; the run's folder must be there."""
        for name, part in self._parts.items():
            kept = RunFolder(self._folder).loggers / name
            about = About(self._folder.name, self._folder, kept, settings_of(self._experiment))
            self._try(name, lambda name, p=part, a=about: self._writers.update({name: p.open(a)}))

    def epoch(self, title: str, epoch: int, values: Mapping[str, float]) -> None:
        """Log an epoch, unless an earlier start of the run has.

        Args:
            title: of the fit, e.g. `fold 2/5`.
            epoch: from 1.
            values: those that aren't finite are left out.
        """
        fit = fit_name(title)
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}

        def log(name: str) -> None:
            if (name, fit) not in self._last:
                self._last[name, fit] = self._writers[name].last(fit)
            if epoch > self._last[name, fit]:
                self._writers[name].epoch(fit, epoch, finite)

        self._each(log)

    def results(self, metrics: Mapping[str, Any]) -> None:
        """Log the scores of `metrics.json`."""
        scores = scores_of(metrics)
        self._each(lambda name: self._writers[name].results(scores))

    def close(self) -> None:
        """Write what isn't written yet."""
        self._each(lambda name: self._writers[name].close())

    def _each(self, act: Callable[[str], None]) -> None:
        for name in list(self._writers):
            self._try(name, act)

    def _try(self, name: str, act: Callable[[str], None]) -> None:
        try:
            act(name)
        except Exception as error:  # anyone's, of any kind; its message may hold a password
            self._writers.pop(name, None)
            say(
                f"Warning: --log {name} failed ({type(error).__name__}), so it logs no more. The "
                "run goes on."
            )


_watches: list[Watch] = []


@contextmanager
def watched(experiment: Experiment, folder: Path) -> Iterator[Watch]:
    """Epochs that are told within go to the loggers of this run, once they are opened.

    Raises:
        UserError: see `Watch`.
    """
    watch = Watch(experiment, folder)
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)
        watch.close()


def tell_epoch(title: str, epoch: int, values: Mapping[str, float]) -> None:
    """Tell the innermost watched run an epoch, see `Watch.epoch`."""
    if _watches:
        _watches[-1].epoch(title, epoch, values)


def fit_name(title: str) -> str:
    """`fold_2` for the title `fold 2/5`."""
    return re.sub(r"[^\w.-]+", "_", re.sub(r"(\d+)/\d+", r"\1", title), flags=re.ASCII).strip("_")


def settings_of(experiment: Experiment) -> dict[str, str]:
    """Every choice as text."""
    chosen = experiment.model_dump(exclude={"log"})
    return {
        name: ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for name, value in chosen.items()
    }


def scores_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The scores of `metrics.json` that are worth a curve or a column."""
    pooled = metrics["macro"]["pooled"]
    interval = pooled.get("auroc_interval") or {}
    scores = {name: value for name, value in pooled.items() if _is_number(value)}
    scores |= {f"auroc_{end}": interval[end] for end in ("low", "high") if end in interval}
    for label, of_label in metrics["per_label"].items():
        if _is_number(value := of_label["pooled"].get("auroc")):
            scores[f"auroc_by_label/{label}"] = value
    return {name: float(value) for name, value in scores.items()}


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)
