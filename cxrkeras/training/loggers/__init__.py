"""Loggers: where the course of a training is written for tools that draw it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cxrkeras.registry import Part


@dataclass(frozen=True)
class About:
    """What a logger is told of a run.

    Attributes:
        name: the run's, for people.
        folder: the run's, absolute: its artefacts.
        kept: a folder of the logger's own in it, which may not be there yet.
        settings: every choice as text.
    """

    name: str
    folder: Path
    kept: Path
    settings: Mapping[str, str]


class Writer(ABC):
    """One run, logged. What a method raises ends the logging with a warning, never the run."""

    @abstractmethod
    def last(self, fit: str) -> int:
        """The last epoch that is logged of a fit, from 1; 0 for none. The next one follows it."""

    @abstractmethod
    def epoch(self, fit: str, epoch: int, values: Mapping[str, float]) -> None:
        """Log an epoch.

        Args:
            fit: what is fitted, e.g. `fold_2` or `source_stage_nih`: letters, digits, `_`, `-`, `.`
            epoch: from 1.
            values: as `history.csv` has them, with `val_auroc`, and `mean_loss` where the loss is a
                sum; all finite.
        """

    @abstractmethod
    def results(self, scores: Mapping[str, float]) -> None:
        """Log the run's scores, e.g. `auroc`, `auroc_low`, `auroc_by_label/Mass`.

        It may be called again, by a run that is resumed.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to do
        """The process that asked for it ends; another may go on with the run."""


class Logger(Part):
    """A logger. `open` may be called again for the same run, by a process that resumes it, or by
    one that fits another fold beside it: the parent has opened it before.
    """

    @abstractmethod
    def check(self) -> None:
        """Look whether it can be used, before the run begins.

        Raises:
            UserError: its library isn't installed, or it would keep what it mustn't.
        """

    @abstractmethod
    def open(self, about: About) -> Writer:
        """Begin, or go on with, the log of a run."""
