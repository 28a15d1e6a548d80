"""Stochastic weight averaging: the mean of the weights at the ends of the last epochs.

Source: Izmailov et al., UAI 2018 (algorithm 1), once per epoch, at the learning rate there is.
"""

from cxrkeras.registry import option
from cxrkeras.training.averages import Average

_ROUNDING = 1e-9


class Part(Average):
    """Where a fit stops before they begin, its weights stay what they are."""

    main = "start"
    start: float = option(0.75, "Share of --epochs before those that count.", ge=0, lt=1)

    def counted(self, steps, epochs):
        """See `Average.counted`."""
        return (int(self.start * epochs + _ROUNDING) + 1) * steps, steps
