"""The whole image, and the same moved by a few pixels, drawn by a seed; their mean probability.

Source: ours; test-time augmentation, as by Krizhevsky et al., NIPS 2012 (section 4.1), uncropped.
"""

import numpy as np

from cxrkeras.models.views import Crop, Views
from cxrkeras.registry import option


class Part(Views):
    """Training sees the image as it is; a prediction takes `count` times as long."""

    main = "count"
    count: int = option(5, "Number of views; the image as it is counts as one.", ge=1, le=50)
    by: float = option(0.04, "The farthest shift, in parts of the side.", gt=0, le=0.25)
    seed: int = option(0, "Of the shifts.", ge=0, le=2**31)
    mirrored: bool = option(False, "Mirror every other view: hearts are then on the right.")

    def crops(self, image_size):
        """See `Views.crops`; shifts differ, so there are fewer where the image is tiny."""
        reach = max(1, round(self.by * image_size))
        steps = np.arange(-reach, reach + 1)
        places = [(int(top), int(left)) for top in steps for left in steps if (top, left) != (0, 0)]
        drawn = np.random.default_rng(self.seed).permutation(len(places))[: self.count - 1]
        moved = (places[place] for place in drawn)
        odd = (
            Crop(top, left, self.mirrored and number % 2 == 0)
            for number, (top, left) in enumerate(moved)
        )
        return (Crop(0, 0), *odd)
