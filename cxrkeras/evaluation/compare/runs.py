"""The predictions of several runs, each under a name of its own."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions


def read_runs(runs: Sequence[Path], *, test: bool = False) -> dict[str, Predictions]:
    """Read runs to be compared.

    Args:
        runs: folders of `cxrkeras cv` or `evaluate`, or tables of predictions.
        test: take the held-out test sets instead of the out-of-fold predictions.

    Returns:
        {name: predictions} in the order of the runs. A name is the folder's; the whole path where
        that isn't enough; numbered where it is the same.

    Raises:
        UserError: a table can't be read.
    """
    paths = [_table(RunFolder(run), test) if run.is_dir() else run for run in runs]
    return dict(zip(_names(runs), map(read_predictions, paths), strict=True))


def _table(run: RunFolder, test: bool) -> Path:
    return run.test_predictions if test else run.predictions


def _names(runs: Sequence[Path]) -> list[str]:
    folders = [run if run.suffix != ".csv" else run.parent for run in runs]
    short = [folder.resolve().name for folder in folders]
    counts = Counter(short)
    names = [name if counts[name] == 1 else str(run) for name, run in zip(short, runs, strict=True)]
    repeats = Counter()
    for i, name in enumerate(names):
        repeats[name] += 1
        names[i] = name if repeats[name] == 1 else f"{name} ({repeats[name]})"
    return names
