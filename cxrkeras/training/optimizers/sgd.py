"""Stochastic gradient descent, with momentum.

Source: Sutskever et al., ICML 2013 (momentum and Nesterov's).
"""

from cxrkeras.registry import option
from cxrkeras.training.optimizers import Optimizer


class Part(Optimizer):
    """Its velocity becomes momentum x velocity - rate x gradient: what has begun keeps its rate."""

    momentum: float = option(0.9, "Share of the last step that the next one keeps.", ge=0, lt=1)
    nesterov: bool = option(False, "Look ahead by one step, as Nesterov does.")
    weight_decay: float = option(0.0, "l2 in gradient + l2 x weight, as in PyTorch.", ge=0, lt=1)

    def build(self):
        """See `Optimizer.build`."""
        import keras

        given = self.model_dump(exclude={"weight_decay"})
        if not self.weight_decay:
            return keras.optimizers.SGD(**given)
        from cxrkeras.training.optimizers.shared.l2 import with_l2

        return with_l2(keras.optimizers.SGD)(**given, l2=self.weight_decay)
