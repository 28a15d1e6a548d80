"""The tiny data and backbone that tests of training, runs and study share."""

from tests.cxrkeras.training.fixtures import cache, data, experiment, tiny

__all__ = ["cache", "data", "experiment", "tiny"]
