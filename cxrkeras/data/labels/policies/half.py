"""Uncertain means as likely as not: the target is 0.5."""

from cxrkeras.data.labels.policies import Policy


class Part(Policy):
    """A fixed one half."""

    def ends(self) -> tuple[float, float]:
        """0.5."""
        return 0.5, 0.5
