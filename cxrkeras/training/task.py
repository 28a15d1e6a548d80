"""Parts of a run as tasks: what they read, and what a process elsewhere does. Imports no Keras."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cxrkeras import runtime
from cxrkeras.data.dataset import open_dataset
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.sources import Weights
from cxrkeras.runs.target import Target, load_target
from cxrkeras.training.plan import resolve
from cxrkeras.training.stages.cache import PIXELS, cache_folder
from cxrkeras.training.watching.watch import watched
from data_prep.executors import Folder


def prepare_sources(run: Path, experiment: Experiment) -> None:
    """Task: train the stages, and compute the features, that the cache lacks."""
    runtime.start(fast=experiment.fast, devices=experiment.devices)
    from cxrkeras.training.folds import make_fitter

    with _watched(run, experiment):
        make_fitter(resolve(experiment), _target(run, experiment), run)


def fit_fold(run: Path, experiment: Experiment, fold: int) -> None:
    """Task: fit one fold into the run folder."""
    runtime.start(fast=experiment.fast, devices=experiment.devices)
    from cxrkeras.training.folds import fit_folds

    with _watched(run, experiment):
        fit_folds(resolve(experiment), _target(run, experiment), run, [fold])


@contextmanager
def _watched(run: Path, experiment: Experiment) -> Iterator[None]:
    with watched(experiment, run) as watch:
        watch.open()
        yield


def reads(experiment: Experiment) -> tuple[Path, ...]:
    """What a run reads of an experiment with absolute paths, whatever machine it is on."""
    links = [link for chain in experiment.chains for link in chain]
    files = [link.where for link in links if isinstance(link, Weights) and link.where != "imagenet"]
    folders = [link.folder for link in experiment.source_datasets]
    return (Path(experiment.data), *folders, *map(Path, files))


def cache_of(needs: Sequence[str]) -> Folder:
    """The cache, as the value of `CXRKERAS_CACHE`."""
    return Folder(cache_folder().absolute(), ("copies/*", *needs), stays=(PIXELS,))


def _target(run: Path, experiment: Experiment) -> Target:
    dataset = open_dataset(Path(experiment.data), experiment.labels_of())
    return load_target(experiment, dataset, RunFolder(run).fold_table)
