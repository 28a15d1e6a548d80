"""BP-MLL: of an image's labels, each positive must score above each negative.

Source: Zhang and Zhou, Multilabel Neural Networks, TKDE 2006 (equation 3), on tanh(f / 2). That is
undefined without a positive or a negative; a label of score 0 (Furnkranz et al., 2008) ranks below
the positives and above the negatives, so that every image teaches (ours).
"""

from cxrkeras.models.losses import Loss


class Part(Loss):
    """The mean over images and their pairs of exp(-(c_positive - c_negative)), c = tanh(f / 2).

    Scores rank, but aren't probabilities, so nothing is adjusted.
    """

    def layer(self):
        """See `Loss.layer`."""
        from cxrkeras.models.losses.shared.ranking import PairwiseExponential

        return PairwiseExponential()
