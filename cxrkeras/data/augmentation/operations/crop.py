"""A random part of the image, of random size and proportions, shown in its place; and a mirror.

Source: Szegedy et al., CVPR 2015 (section 6); torchvision's RandomResizedCrop.
"""

import math
from typing import Annotated, Any

from pydantic import AfterValidator

from cxrkeras.data.augmentation.operations import Operation
from cxrkeras.data.augmentation.operations.shared.ranges import Range, above_nothing, at_most_one
from cxrkeras.data.augmentation.operations.shared.resample import resampled
from cxrkeras.registry import option

TRIES = 10


class Part(Operation):
    """A rectangle within the image is stretched to the square window in its middle.

    The window is what the network sees (`--views`), so no pixel is computed twice. The part's area
    and the logarithm of its proportions are drawn evenly, again while it sticks out, at most ten
    times; then, as torchvision does on a square, the whole image is taken. It is resampled
    bilinearly, without smoothing: images should be little larger than the window.
    """

    area: Annotated[Range, AfterValidator(above_nothing), AfterValidator(at_most_one)] = option(
        (0.08, 1.0), "Smallest and largest part, as a share of the image's area."
    )
    ratio: Annotated[Range, AfterValidator(above_nothing)] = option(
        (0.75, 4 / 3), "Lowest and highest width divided by height."
    )
    hflip: float = option(
        0.5,
        "Probability of swapping left and right, which is anatomically wrong (situs).",
        ge=0,
        le=1,
    )
    window: float = option(
        1.0, "Side of the window as a share of the image's; with --views its own.", gt=0, le=1
    )

    def neutral(self) -> bool:
        """True if the window can only show what lies there, as it is."""
        alone = self.area == (1.0, 1.0) and self.ratio == (1.0, 1.0) and self.window == 1.0
        return alone and not self.hflip

    def apply(self, images: Any, draws: Any) -> Any:
        """Resample with 23 draws: areas and proportions, tried in turn, the place, the mirror."""
        from keras import ops

        height, width = images.shape[1:3]
        across, down = self._sides(draws)
        flip = ops.where(draws.chance(self.hflip), -1.0, 1.0)
        # At strength 0 all of these are 1 and 0 exactly, and the image stays as it is.
        a0, b1 = flip * across, down
        right = draws.uniform(-0.5, 0.5) * (1 - self.window * across) * width
        below = draws.uniform(-0.5, 0.5) * (1 - self.window * down) * height
        centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
        a2, b2 = centre_x + right - a0 * centre_x, centre_y + below - b1 * centre_y
        zero = ops.zeros_like(a0)
        maps = ops.stack([a0, zero, a2, zero, b1, b2], axis=-1)
        return resampled(images, maps, edge=True)

    def _sides(self, draws: Any) -> tuple[Any, Any]:
        """(N,) width and height of the part, as multiples of the window's."""
        from keras import ops

        window = self.window**2
        low, high = (end / window for end in self.area)
        slim, broad = map(math.log, self.ratio)
        across = down = found = None
        for _ in range(TRIES):
            area = draws.uniform(low, high, neutral=1.0)
            ratio = ops.exp(draws.uniform(slim, broad))
            wide, tall = ops.sqrt(area * ratio), ops.sqrt(area / ratio)
            fits = ops.maximum(wide, tall) * self.window <= 1
            if found is None:
                whole = 1 + draws.strength * (1 / self.window - 1)  # if none fits
                across = down = whole * ops.ones_like(wide)
                found = ops.zeros_like(fits)
            new = ops.logical_and(fits, ops.logical_not(found))
            across, down = ops.where(new, wide, across), ops.where(new, tall, down)
            found = ops.logical_or(found, fits)
        return across, down
