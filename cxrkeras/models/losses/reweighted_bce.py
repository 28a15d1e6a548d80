"""Binary cross-entropy that heeds less what it can't believe: entries that cost more than tau.

Source: after MentorNet (Jiang et al., ICML 2018), whose weights a report on noisy chest labels
simplified to this. It gives .3 and .5 without saying which of them is a threshold and which a
weight, so both are options (ours).
"""

from cxrkeras.models.losses import Loss, bce
from cxrkeras.registry import option


class Part(Loss):
    """An entry weighs omega where it costs more than tau, else 1; no gradient passes the weight.

    What that does to probabilities isn't known, so nothing is adjusted, unless omega is 1.
    """

    tau: float = option(1.2, "Cost, -ln of the probability of the given label.", gt=0)
    omega: float = option(0.5, "Weight above tau; 1 is plain cross-entropy.", ge=0, le=1)

    def layer(self):
        """See `Loss.layer`."""
        if self.omega == 1:
            return bce.Part().layer()
        from keras import ops

        from cxrkeras.models.losses.shared.entry_layer import EntryLayer

        def weighed(cost):
            weight = ops.cast(ops.where(cost > self.tau, self.omega, 1.0), cost.dtype)
            return ops.stop_gradient(weight) * cost

        def costs(f, counts, progress):
            return weighed(ops.softplus(-f)), weighed(ops.softplus(f))

        return EntryLayer(costs, counted=False, deferred=False)

    def distortion(self, targets, rows):
        """See `Loss.distortion`."""
        return bce.Part().distortion(targets, rows) if self.omega == 1 else None
