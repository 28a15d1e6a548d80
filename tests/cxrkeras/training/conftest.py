"""The tiny data and backbone that tests of training, runs and study share."""

from tests.cxrkeras.training.fixtures import (
    cache,
    choices,
    data,
    experiment,
    runs,
    shared_cache,
    tiny,
)

__all__ = ["cache", "choices", "data", "experiment", "runs", "shared_cache", "tiny"]
