"""Tiny data, a tiny backbone in the registry, and a cache of the test's own."""

from pathlib import Path

import pytest

from cxrkeras import runtime
from cxrkeras.runs.description import make_experiment
from tests.cxrkeras.backbones import known
from tests.cxrkeras.training.tiny import write_dataset


@pytest.fixture(scope="session", autouse=True)
def tiny():
    """`--backbone tiny`: a backbone that takes a second to trace instead of half a minute."""
    runtime.start()
    with pytest.MonkeyPatch.context() as patch:
        known.add("tiny", patch)
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A folder with the datasets `target`, `a` (its labels among others) and `b` (other labels)."""
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder / "target", images=36, seed=0)
    write_dataset(folder / "a", ("bar", "frame"), images=32, seed=1)
    write_dataset(folder / "b", ("disc", "frame"), images=20, seed=2)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A cache that no other test has filled."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CXRKERAS_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def experiment(data):
    """`experiment(epochs=3, ...)`: on the tiny target, two folds, one epoch unless told else."""

    def make(**choices):
        small = {
            "data": str(data / "target"),
            "backbone": "tiny",
            "image_size": 48,
            "epochs": 1,
            "folds": 2,
            "batch_size": 8,
            "learning_rate": 3e-3,
            "source_learning_rate": 3e-3,
            "random_trunk": True,
        }
        return make_experiment(small | choices)

    return make
