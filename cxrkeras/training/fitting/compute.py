"""How a network learns: in which numbers, on which devices. What is kept is float32, on one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras

from cxrkeras.models.network import Network
from cxrkeras.models.precision import FLOAT32, computing_in
from cxrkeras.runs.experiment import Experiment
from cxrkeras.training.fitting.devices import ONE, Devices, shared_by


@dataclass(frozen=True)
class Compute:
    """What a fit is told of it.

    Args:
        precision: of layers, see `Experiment.precision`.
        devices: that share each batch.
    """

    precision: str = FLOAT32
    devices: Devices = ONE

    @classmethod
    def of(cls, experiment: Experiment) -> "Compute":
        """As an experiment wants it; `runtime.start` has checked that its devices are there."""
        return cls(experiment.precision, shared_by(experiment.devices))

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Where a network that learns is built."""
        with self.devices.scope(), computing_in(self.precision):
            yield

    def scaling(self, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
        """An optimiser that keeps gradients within the range of float16."""
        scaled = self.precision == "float16"
        return keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer


PLAIN = Compute()


class Twins:
    """A network that is kept, and the one that learns in its place.

    They are one unless precision or devices were chosen.

    Args:
        build: makes a network, the same each time.
        compute: how it learns.

    Attributes:
        kept: float32, on one device: it predicts and is saved.
        learning: the one to be fitted.
    """

    def __init__(self, build: Callable[[], Network], compute: Compute):
        self.kept = self.learning = build()
        if compute != PLAIN:
            with compute.scope():
                self.learning = build()

    def teach(self) -> None:
        """Let the learning one start from the kept one's weights."""
        _copy(self.kept, self.learning)

    def learn(self) -> None:
        """Let the kept one have what the other has learnt."""
        _copy(self.learning, self.kept)


def _copy(source: Network, target: Network) -> None:
    if source is not target:
        target.logits.set_weights(source.logits.get_weights())
