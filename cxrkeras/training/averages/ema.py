"""Exponential moving average: each step's weights count a little less than the next one's.

Source: Tarvainen and Valpola, NeurIPS 2017; without its start's weights, as Adam (algorithm 1).
"""

from cxrkeras.registry import option
from cxrkeras.training.averages import Average


class Part(Average):
    """The steps that count are about the last 1 / (1 - decay)."""

    main = "decay"
    decay: float = option(
        0.999, "What a step's weights still count at the next; 0: none.", ge=0, lt=1
    )

    @property
    def keeps(self):
        """See `Average.keeps`."""
        return self.decay
