"""Every image's contrast about its own mean."""

from cxrkeras.data.augmentation.operations import Operation
from cxrkeras.data.augmentation.operations.shared.ranges import Range
from cxrkeras.registry import option


class Part(Operation):
    """x + (c - 1) (x - mean): at c = 1 the same to the last bit."""

    main = "contrast"
    contrast: Range = option((0.8, 1.2), "Lowest and highest factor on the contrast.")

    def neutral(self):
        """Where the factor can be 1 only."""
        return self.contrast == (1.0, 1.0)

    def apply(self, images, draws):
        """A draw: the factor."""
        from keras import ops

        factor = draws.per_image(draws.uniform(*self.contrast, neutral=1.0))
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        return images + (factor - 1.0) * (images - mean)
