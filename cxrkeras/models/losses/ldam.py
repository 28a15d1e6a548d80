"""Label-distribution-aware margins: the rarer a class, the wider; weighed in late epochs.

Source: Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, NeurIPS
2019 (equations 11 and 13, algorithm 1). Each label is a problem of two classes with a margin each,
and logits aren't normalised unless the head does so (`cosine`) (ours).
"""

import numpy as np

from cxrkeras.data.distortion import from_log_odds
from cxrkeras.models.losses.shared.entrywise import Entrywise, effective
from cxrkeras.registry import option


class Part(Entrywise):
    """Cross-entropy of f - D for positives and f + D for negatives, D proportional to n^(-1/4).

    Where weights begin late, a validation loss of before can't be compared with one of after: all
    epochs are run then, at the same learning rate.
    """

    counted = True

    main = "margin"
    margin: float = option(0.5, "D of the rarest class of all labels, in logits.", ge=0, le=10)
    defer: float = option(
        0.8,
        "Share of the epochs after which class-balanced weights begin; 1 for never.",
        ge=0,
        le=1,
    )
    beta: float = option(0.9999, "Of the weights, see `class_balanced`.", ge=0, lt=1)

    @property
    def deferred(self) -> bool:
        """See `Entrywise.deferred`."""
        return 0 < self.defer < 1

    @property
    def steers(self) -> bool:
        """See `Loss.steers`."""
        return not self.deferred

    def costs(self, f, counts, progress):
        """See `Entrywise.costs`."""
        from keras import ops

        wide, narrow = self._margins(counts, ops)
        weights = self._weights(counts, ops)
        if progress is not None:
            late = ops.cast(progress > self.defer, f.dtype)
            weights = [1 + late * (weight - 1) for weight in weights]
        return weights[0] * ops.softplus(wide - f), weights[1] * ops.softplus(narrow + f)

    def slopes(self, f, counts):
        """See `Entrywise.slopes`; with the weights, if they ever begin."""
        wide, narrow = self._margins(counts, np)
        positive, negative = self._weights(counts, np)
        return positive * from_log_odds(wide - f), negative * from_log_odds(narrow + f)

    def _margins(self, counts, xp):
        """(K,) of positives and of negatives."""
        counts = xp.maximum(counts, 1.0)
        margins = self.margin * xp.power(counts / xp.min(counts), -0.25)
        return margins[:, 0], margins[:, 1]

    def _weights(self, counts, xp):
        return (1.0, 1.0) if self.defer == 1 else effective(counts, self.beta, xp)
