"""Batch-weighted binary cross-entropy: a batch's positives and negatives have equal total weight.

Source: Wang et al., ChestX-ray8, CVPR 2017 (W-CEL, equation 3); Huang et al., Diagnostics 2022.
"""

from cxrkeras.data.distortion import Factor
from cxrkeras.models.losses import Loss
from cxrkeras.models.losses.shared.inflation import inflation_of_weights
from cxrkeras.registry import option


class Part(Loss):
    """Weights are pooled over the batch's labels, or taken label by label."""

    summed = True
    per_label: bool = option(False, "Weigh each label's positives against its own negatives.")

    def layer(self):
        """See `Loss.layer`."""
        from cxrkeras.models.losses.shared.bce import BatchWeightedBCE

        return BatchWeightedBCE(per_label=self.per_label)

    def distortion(self, targets, rows):
        """A factor: in large batches |N|/|P|; weaker in small ones, since a batch without a
        positive drops their term. The uncertain class counts in neither: the odds are those of
        positive against negative. See `inflation_of_weights` for a label that lacks a class.
        """
        return Factor(inflation_of_weights(targets, rows, per_label=self.per_label))
