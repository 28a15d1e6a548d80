"""Averages: the mean over a fit's steps that its weights become in the end. Imports no Keras."""

from cxrkeras.registry import Part


class Average(Part):
    """A mean of a network's weights over the steps that count: of all alike, unless a part differs.

    It is what early stopping judges and keeps, too. What changes otherwise than by gradients isn't
    averaged; the statistics of batch norm are estimated anew (`fitting.batch_norm`).
    """

    @property
    def keeps(self) -> float:
        """What a step's weights still count when the next has been counted, in [0, 1]."""
        return 1.0

    def counted(self, steps: int, epochs: int) -> tuple[int, int]:
        """Which steps count.

        Args:
            steps: per epoch.
            epochs: at most.

        Returns:
            The first of them, from 1, and how many steps lie between two. As long as there is
            none, the weights are what they are.
        """
        return 1, 1
