"""Grey to the three channels that a backbone's weights expect."""

from collections.abc import Sequence

import keras

Scaling = tuple[Sequence[float], Sequence[float]]
"""Slope and offset per channel: y = x * slope + offset, x grey in 0..255."""

# As in keras.applications.imagenet_utils. `caffe` is the original ResNet's: channels in BGR order,
# means subtracted, no scaling.
SCALINGS: dict[str, Scaling] = {
    "caffe": ((1.0, 1.0, 1.0), (-103.939, -116.779, -123.68)),
    "torch": (
        (1 / (255 * 0.229), 1 / (255 * 0.224), 1 / (255 * 0.225)),
        (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
    ),
    "tf": ((1 / 127.5,) * 3, (-1.0,) * 3),
    "none": ((1.0,) * 3, (0.0,) * 3),  # the trunk scales inside
}


def grey_to_colour(image, scaling: Scaling, *, trunk: str | None = None):
    """Grey replicated to three channels and scaled, by Keras's own layers.

    Args:
        image: (N, H, W, 1) float, 0-255, symbolic or an array.
        scaling: slope and offset; no layer scales where they change nothing.
        trunk: the trunk that the layers stand before and are named after.

    Returns:
        (N, H, W, 3) float.
    """
    repeated, scaled = (f"{verb}_{trunk}" if trunk else None for verb in ("repeat", "scale"))
    grey = keras.layers.Concatenate(name=repeated)([image] * 3)
    if scaling == SCALINGS["none"]:
        return grey
    slope, offset = map(list, scaling)
    return keras.layers.Rescaling(slope, offset, name=scaled)(grey)
