"""Optimisers: how gradients move the weights, one per file."""

from abc import abstractmethod
from typing import TYPE_CHECKING

from cxrkeras.registry import Part

if TYPE_CHECKING:
    import keras


class Optimizer(Part):
    """An optimiser; the learning rate isn't its option, since stages and the target have their own.

    Where a small head ends with the mean of its weights (`fitting.averaging`), a subclass of the
    optimiser's class sums them up; `get_config` must therefore give all that makes it anew.
    """

    @abstractmethod
    def build(self) -> "keras.optimizers.Optimizer":
        """A new one of Keras's, at any learning rate; the rate is set before each fit."""
        raise NotImplementedError
