"""The film's borders: letters, tubes, collimation and black bars, and no lung.

The features are the means of cells in a frame along the edges.
"""

import numpy as np

from cxrkeras.evaluation.shortcuts import Shortcut, squares
from cxrkeras.registry import option

_CELLS = 40


class Part(Shortcut):
    """A frame as wide as a share of the side, in cells of a fortieth."""

    main = "width"
    width: float = option(0.1, "Share of the side on each edge.", ge=0.025, le=0.3)

    def features(self, dataset, rows):
        """(N, cells of the frame)."""
        frame = round(self.width * _CELLS)
        inside = np.zeros((_CELLS, _CELLS), bool)
        inside[frame:-frame, frame:-frame] = True
        return squares(dataset, rows["image"].tolist(), _CELLS)[:, ~inside]
