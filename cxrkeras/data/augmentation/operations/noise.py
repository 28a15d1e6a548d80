"""Gaussian noise on every pixel, with a sigma of its own for each image."""

from typing import Any

from cxrkeras.data.augmentation.operations import FULL_RANGE, Operation
from cxrkeras.data.augmentation.operations.shared.ranges import Range
from cxrkeras.registry import option


class Part(Operation):
    """Noise."""

    main = "noise"
    noise: Range = option(
        (0.01, 0.05), "Lowest and highest sigma of the noise, as a fraction of the full range."
    )

    def neutral(self) -> bool:
        """True if sigma can only be 0."""
        return self.noise == (0.0, 0.0)

    def apply(self, images: Any, draws: Any) -> Any:
        """Add noise, with two draws: sigma, then the noise."""
        sigma = FULL_RANGE * draws.uniform(*self.noise)
        return draws.normal(images, draws.per_image(sigma))
