"""Adam with decoupled weight decay: weights shrink beside the step, not through its means.

Source: Loshchilov and Hutter, ICLR 2019.
"""

from cxrkeras.registry import option
from cxrkeras.training.optimizers import Optimizer


class Part(Optimizer):
    """Each step multiplies every weight by 1 - learning rate x weight decay, as in PyTorch."""

    weight_decay: float = option(0.01, "Of a weight, per step and unit of the rate.", ge=0)
    beta_1: float = option(0.9, "Memory of the mean gradient.", ge=0, lt=1)
    beta_2: float = option(0.999, "Memory of the mean square.", ge=0, lt=1)
    epsilon: float = option(1e-7, "Added to the root of the mean square; PyTorch has 1e-8.", gt=0)

    def build(self):
        """See `Optimizer.build`."""
        import keras

        from cxrkeras.training.optimizers.shared.kernel import in_one_kernel

        return in_one_kernel(keras.optimizers.AdamW)(**self.model_dump())
