"""A thumbnail of 8 x 8 cells: the build, the position and the exposure, but no lesion."""

from cxrkeras.evaluation.shortcuts import Shortcut, squares
from cxrkeras.registry import option


class Part(Shortcut):
    """Each cell is the mean of its part of the film."""

    main = "side"
    side: int = option(8, "Cells along each edge.", ge=1, le=32)

    def features(self, dataset, rows):
        """(N, side x side)."""
        small = squares(dataset, rows["image"].tolist(), self.side)
        return small.reshape(len(small), -1)
