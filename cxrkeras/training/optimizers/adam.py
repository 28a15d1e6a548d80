"""Adam: steps scaled by running means of the gradients and of their squares.

Source: Kingma and Ba, ICLR 2015; the usual choice, at 1e-4, is that of Huang et al. 2022.
"""

from cxrkeras.registry import option
from cxrkeras.training.optimizers import Optimizer


class Part(Optimizer):
    """Its weight decay is L2's gradient, added before the means are taken, as in PyTorch's Adam."""

    weight_decay: float = option(0.0, "l2 in gradient + l2 x weight, as in PyTorch.", ge=0, lt=1)
    beta_1: float = option(0.9, "Memory of the mean gradient.", ge=0, lt=1)
    beta_2: float = option(0.999, "Memory of the mean square.", ge=0, lt=1)
    epsilon: float = option(1e-7, "Added to the root of the mean square; PyTorch has 1e-8.", gt=0)

    def build(self):
        """See `Optimizer.build`."""
        import keras

        from cxrkeras.training.optimizers.shared.kernel import in_one_kernel

        given = self.model_dump(exclude={"weight_decay"})
        kind = in_one_kernel(keras.optimizers.Adam)
        if not self.weight_decay:
            return kind(**given)
        from cxrkeras.training.optimizers.shared.l2 import with_l2

        return with_l2(kind)(**given, l2=self.weight_decay)
