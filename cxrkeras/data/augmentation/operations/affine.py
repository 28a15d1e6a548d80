"""All geometry in one bilinear resample: flips, zoom, shear, rotation, shift."""

import math
from typing import Annotated, Any

from pydantic import AfterValidator

from cxrkeras.data.augmentation.operations import Operation
from cxrkeras.data.augmentation.operations.shared.ranges import Range, above_nothing
from cxrkeras.data.augmentation.operations.shared.resample import resampled
from cxrkeras.registry import option


class Part(Operation):
    """One affine map per image, about its centre ((W-1)/2, (H-1)/2).

    It flips, zooms (equally in x and y, which keeps the cardiothoracic ratio), shears, rotates and
    shifts. What comes in from outside is black, as outside the collimated field.
    """

    rotation: float = option(10.0, "Largest rotation in degrees, either way.", ge=0, le=180)
    shift: float = option(
        0.1, "Largest shift as a fraction of height and width, either way.", ge=0, le=1
    )
    shear: float = option(
        0.1, "Largest horizontal shear, pixels per pixel of height, either way.", ge=0, le=1
    )
    zoom: Annotated[Range, AfterValidator(above_nothing)] = option(
        (0.9, 1.1), "Lowest and highest magnification."
    )
    hflip: float = option(
        0.0,
        "Probability of swapping left and right, which is anatomically wrong (situs).",
        ge=0,
        le=1,
    )
    vflip: float = option(0.0, "Probability of swapping top and bottom.", ge=0, le=1)

    def neutral(self) -> bool:
        """True if no image can move."""
        return self.zoom == (1.0, 1.0) and not any(
            (self.rotation, self.shift, self.shear, self.hflip, self.vflip)
        )

    def apply(self, images: Any, draws: Any) -> Any:
        """Resample with seven draws: rotation, shift in x and y, shear, zoom, and the two flips."""
        from keras import ops

        height, width = images.shape[1:3]
        turn = math.radians(self.rotation)
        maps = affine_maps(
            height,
            width,
            rotation=draws.uniform(-turn, turn),
            shift_x=draws.uniform(-self.shift * width, self.shift * width),
            shift_y=draws.uniform(-self.shift * height, self.shift * height),
            shear=draws.uniform(-self.shear, self.shear),
            zoom=draws.uniform(*self.zoom, neutral=1.0),
            flip_x=ops.where(draws.chance(self.hflip), -1.0, 1.0),
            flip_y=ops.where(draws.chance(self.vflip), -1.0, 1.0),
        )
        return resampled(images, maps)


def affine_maps(height, width, *, rotation, shift_x, shift_y, shear, zoom, flip_x, flip_y):
    """The affine maps that `resampled` takes: from output to input pixels.

    An image is flipped, magnified, sheared, turned and shifted, in this order, about the centre
    ((W-1)/2, (H-1)/2); the returned map undoes that in reverse.

    Args:
        height: of the images, in pixels.
        width: of the images, in pixels.
        rotation: (N,) radians, counter-clockwise as seen (`numpy.rot90`).
        shift_x: (N,) pixels to the right.
        shift_y: (N,) pixels down.
        shear: (N,) pixels to the right per pixel down.
        zoom: (N,) magnification.
        flip_x: (N,) -1 swaps left and right, 1 leaves them.
        flip_y: (N,) -1 swaps top and bottom, 1 leaves them.

    Returns:
        (N, 6) float32.
    """
    from keras import ops

    cos, sin = ops.cos(rotation), ops.sin(rotation)
    # Unturn, then unshear (x' = x - shear y), then unmagnify and unflip.
    a0, a1 = (cos - shear * sin) * flip_x / zoom, (-sin - shear * cos) * flip_x / zoom
    b0, b1 = sin * flip_y / zoom, cos * flip_y / zoom
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x, y = centre_x + shift_x, centre_y + shift_y
    a2, b2 = centre_x - (a0 * x + a1 * y), centre_y - (b0 * x + b1 * y)
    return ops.stack([a0, a1, a2, b0, b1, b2], axis=-1)
