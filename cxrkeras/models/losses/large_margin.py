"""Large margin for several labels: each logit must be right by a margin.

Source: Wang et al., CosFace, CVPR 2018 (equation 4), for one label at a time: with the head
`cosine`, logits are s cos(t), and `margin` is s m. (Liu et al.'s L-Softmax, ICML 2016, which the
Tsinghua report found inapplicable, presumes that exactly one class is right.)
"""

from cxrkeras.data.distortion import from_log_odds
from cxrkeras.models.losses.shared.entrywise import Entrywise
from cxrkeras.registry import option


class Part(Entrywise):
    """Cross-entropy of f - margin for positives and f + margin for negatives."""

    main = "margin"
    margin: float = option(1.0, "In logits; 0 is plain cross-entropy.", ge=0, le=30)

    def costs(self, f, counts, progress):
        """See `Entrywise.costs`."""
        from keras import ops

        return ops.softplus(self.margin - f), ops.softplus(self.margin + f)

    def slopes(self, f, counts):
        """See `Entrywise.slopes`."""
        return from_log_odds(self.margin - f), from_log_odds(self.margin + f)
