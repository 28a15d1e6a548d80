"""Tiny data, a tiny backbone in the registry, and a cache of the test's own."""

from pathlib import Path

import pytest

from cxrkeras import runtime
from cxrkeras.runs.description import make_experiment
from cxrkeras.training.crossval import cross_validate
from tests.cxrkeras.backbones import known
from tests.cxrkeras.training.tiny import write_dataset

METHODS = {
    "regular": {"source": "{a},b={b}", "epochs": 2, "source_epochs": 1, "augment": "study"}
    | {"log": ["tensorboard"]},
    # Its trunks start from the two stages of `regular`, and the layers of `layers` from the first.
    "mixed": {"method": "mixed", "source": ["{a}", "{a},b={b}"], "augment": "study"},
    "cotrain": {"method": "cotrain", "source": ["{a}", "b={b}"], "joint": "merged"},
    "scratch": {"test_fraction": 0.2, "validation_fraction": 0, "uncertain": "ignore"},
    "layers": {"source": "{a}", "source_epochs": 1, "recipe": "frozen", "epochs": 5}
    | {"test_fraction": 0.2, "augment": "study"},
    "copies": {"recipe": "frozen:copies=2", "augment": "light", "validation_fraction": 0.2},
}


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
    """`experiment(epochs=3, ...)`: on the tiny target, two folds, one epoch unless told else.

    Nothing is augmented unless told else, which spares each fit the tracing of it.
    """

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
            "augment": "none",
        }
        return make_experiment(small | choices)

    return make


@pytest.fixture(scope="session")
def choices(data):
    """The choices of a name in METHODS, with the data's places."""

    def fill(value):
        if isinstance(value, list):
            return [fill(one) for one in value]
        return value.format(a=f"a={data / 'a'}", b=data / "b") if isinstance(value, str) else value

    return lambda name: {key: fill(value) for key, value in METHODS[name].items()}


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory) -> Path:
    """One cache for the runs below, so that a stage that several of them share is trained once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def runs(experiment, choices, tmp_path_factory, shared_cache):
    """`runs(name)`: the finished run of a name in METHODS; made once. Don't write into it.

    A file that uses it is marked `shares_runs`, so that one process makes them.
    """
    made = {}

    def run(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("runs") / name
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("CXRKERAS_CACHE", str(shared_cache))
                cross_validate(experiment(**choices(name)), made[name])
        return made[name]

    return run
