"""Losses: what a batch's logits cost, and how that distorts the probabilities."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cxrkeras.data.distortion import Distortion
from cxrkeras.registry import Part

if TYPE_CHECKING:
    import keras


class Loss(Part):
    """A loss.

    Attributes:
        steers: whether its value on validation images may choose the epoch and lower the learning
            rate. If not, as with a saddle point, a fit runs all its epochs.
        summed: whether its value is a sum over a batch's known entries, in place of a mean: what is
            shown while it is fitted is divided by their number.
    """

    steers: ClassVar[bool] = True
    summed: ClassVar[bool] = False

    @abstractmethod
    def layer(self) -> "keras.layers.Layer":
        """A layer from (targets (N, K), logits (N, K) or (N, 2K)) to a scalar.

        Targets are in [0, 1], MASKED, or UNCERTAIN_CLASS; a masked entry must have the loss 0 and
        the gradient 0. They may be (N, K, 2), with weights: an entry of weight w counts as w
        entries (`shared.entries.known_targets` gives both). (N, 2K) logits are f, then those of an
        uncertain class (`shared.bce`). The layer may own weights, which are trained beside the
        network's and not saved with it. One called `counts`, (K, 2), is set to the positives and
        negatives among the training targets before each fit; one called `progress`, (), before
        each epoch to the share of the planned epochs that are over at its end.
        """
        raise NotImplementedError

    def distortion(
        self, targets: Sequence[np.ndarray], rows: Sequence[np.ndarray]
    ) -> Distortion | None:
        """As which score q a probability p comes out at the loss's optimum, label by label.

        Args:
            targets: (N_j, K) training targets of each part whose rows stand in the same batches,
                outside [0, 1] = masked or uncertain; or (N_j, K, 2) with weights
                (`data.labels.entries.value_and_weight` gives both).
            rows: (D, B_j) of each part, the batches (`data.draws.drawn_rows`).

        Returns:
            A `Factor` w on the odds, q/(1-q) = w p/(1-p), or a `Curve`; None where it isn't known:
            then nothing is corrected by it.
        """
        return None

    def optimizer(self) -> "keras.optimizers.Optimizer | None":
        """The optimiser that it needs, whose learning rate is set later; None for the usual one.

        Its method `end_epoch(steps)`, if it has one, is called after each epoch of so many steps.
        """
        return None
