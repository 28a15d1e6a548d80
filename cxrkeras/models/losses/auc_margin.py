"""AUC margin (DeepAUC): label by label, positives' mean score above negatives' by a margin.

Source: Yuan et al., Large-scale Robust Deep AUC Maximization, ICCV 2021 (equation 4): the smallest
over w, a, b and the largest over alpha >= 0 of (1 - p)(h - a)^2 over positives, p (h - b)^2 over
negatives, and 2 alpha (p (1 - p) m + p h over negatives - (1 - p) h over positives) - p (1 - p)
alpha^2, with h = sigmoid(f) and p the label's share of positives in training. There it is p (1 - p)
times the two variances and the squared shortfall of the margin. The optimiser is PESG, in which
each epoch's mean weights hold those of the next (Guo et al., Communication-Efficient AUC
Maximization, ICML 2020).
"""

from typing import ClassVar

from cxrkeras.models.losses import Loss
from cxrkeras.registry import option


class Part(Loss):
    """The mean over known entries; a, b and alpha of each label learn beside the network.

    Its value is a saddle's, so it can't choose epochs. Scores aren't probabilities, so nothing is
    adjusted. It needs a larger --learning-rate than Adam (0.05 to 0.1), and a trunk or head that
    has learnt before: start from a model fitted with `bce`.
    """

    steers: ClassVar[bool] = False

    margin: float = option(1.0, "m, between mean scores in [0, 1].", gt=0, le=1)
    momentum: float = option(0.9, "Of PESG.", ge=0, lt=1)
    epoch_decay: float = option(2e-3, "Pull towards the mean weights of the last epoch.", ge=0)
    weight_decay: float = option(1e-5, "Pull towards 0.", ge=0)

    def layer(self):
        """See `Loss.layer`."""
        from cxrkeras.models.losses.shared.auc_margin import AUCMargin

        return AUCMargin(self.margin)

    def optimizer(self):
        """See `Loss.optimizer`."""
        from cxrkeras.models.losses.shared.auc_margin import ALPHA
        from cxrkeras.models.losses.shared.pesg import PESG

        optimizer = PESG(
            momentum=self.momentum, epoch_decay=self.epoch_decay, decay=self.weight_decay
        )
        optimizer.exclude_from_weight_decay(var_names=[ALPHA])
        return optimizer
