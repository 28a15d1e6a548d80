"""The mean over all steps; how small heads end anyway, where no validation part steers them.

Source: Polyak and Juditsky, SIAM Journal on Control and Optimization 1992.
"""

from cxrkeras.training.averages import Average


class Part(Average):
    """Good where the start is soon forgotten, as by a head on standardised features."""
