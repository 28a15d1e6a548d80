"""How bright a film is, and how its greys spread."""

import numpy as np

from cxrkeras.evaluation.shortcuts import Shortcut, squares


class Part(Shortcut):
    """Mean and standard deviation of 16 x 16 cells."""

    def features(self, dataset, rows):
        """(N, 2)."""
        small = squares(dataset, rows["image"].tolist(), 16)
        return np.stack([small.mean(axis=(1, 2)), small.std(axis=(1, 2))], axis=1)
