"""Log-sum-exp pairwise: an image's positive labels must rank above 0, and 0 above its negatives.

Source: Li et al., Improving Pairwise Ranking for Multi-Label Image Classification, CVPR 2017
(equation 4), which learns nothing from an image with no positive or no negative. A label of score 0
between them (Furnkranz et al., 2008; Su et al., ZLPR, 2022) mends that: ln(1 + sum of all pairs)
falls apart into ln(1 + sum e^f over negatives) + ln(1 + sum e^-f over positives).
"""

from cxrkeras.models.losses import Loss


class Part(Loss):
    """The mean over images; scores rank, but aren't probabilities, so nothing is adjusted."""

    def layer(self):
        """See `Loss.layer`."""
        from cxrkeras.models.losses.shared.ranking import LogSumExpPairwise

        return LogSumExpPairwise()
