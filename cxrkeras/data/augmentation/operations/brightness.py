"""Multiply every grey value by a factor, one per image."""

from typing import Any

from cxrkeras.data.augmentation.operations import Operation
from cxrkeras.data.augmentation.operations.shared.ranges import Range
from cxrkeras.registry import option


class Part(Operation):
    """Brightness."""

    main = "brightness"
    brightness: Range = option((0.9, 1.1), "Lowest and highest factor on the grey values.")

    def neutral(self) -> bool:
        """True if the factor can only be 1."""
        return self.brightness == (1.0, 1.0)

    def apply(self, images: Any, draws: Any) -> Any:
        """Multiply, with one draw: the factor."""
        return images * draws.per_image(draws.uniform(*self.brightness, neutral=1.0))
