"""The sign of a mean of gradients: every weight moves by the same amount.

Source: Chen et al., Symbolic Discovery of Optimization Algorithms, NeurIPS 2023 (algorithm 2).
"""

from cxrkeras.registry import option
from cxrkeras.training.optimizers import Optimizer


class Part(Optimizer):
    """Keras's; it wants a lower rate than Adam."""

    beta_2: float = option(0.99, "Memory of the mean gradient.", ge=0, lt=1)

    def build(self):
        """See `Optimizer.build`."""
        import keras

        return keras.optimizers.Lion(beta_2=self.beta_2)
