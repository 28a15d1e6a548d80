"""The mean over all steps but the first ones."""

from cxrkeras.registry import option
from cxrkeras.training.averages import Average


class Part(Average):
    """A mean that has forgotten where it began."""

    left_out: int = option(2, "Steps before those that count.", ge=0)

    def counted(self, steps, epochs):
        """See `Average.counted`."""
        return self.left_out + 1, 1
