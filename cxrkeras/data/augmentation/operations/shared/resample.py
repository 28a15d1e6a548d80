"""Images resampled under one affine map each."""

from typing import Any

from cxrkeras.data.augmentation.shared.compiled import compiled


@compiled
def resampled(images: Any, maps: Any, *, edge: bool = False) -> Any:
    """Bilinear values of images where affine maps point.

    On a CPU it takes less than half the processor time of TensorFlow's own kernel, which XLA can't
    compile either.

    Args:
        images: (N, H, W, 1) float32; H and W must be known.
        maps: (N, 6) float32 (a0, a1, a2, b0, b1, b2): output pixel (x, y) shows the input's at
            (a0 x + a1 y + a2, b0 x + b1 y + b2), where (0, 0) is the middle of the first pixel.
        edge: outside the image its edge goes on; if not, it is 0 there.

    Returns:
        (N, H, W, 1) float32. A map that leaves everything in its place changes no bit.
    """
    from keras import ops

    number, (height, width) = ops.shape(images)[0], images.shape[1:3]
    # Around the image lies what is read where a place is outside, or at a weight of 0.
    wide, tall = width + 3, height + 3
    pixels = ops.reshape(ops.pad(images[..., 0], [[0, 0], [1, 2], [1, 2]]), (-1,))
    columns = ops.arange(width, dtype="float32")
    rows = ops.arange(height, dtype="float32")[:, None]
    a0, a1, a2, b0, b1, b2 = (maps[:, i, None, None] for i in range(6))
    beyond = 0 if edge else 1
    x = ops.clip(a0 * columns + a1 * rows + a2, -beyond, width - 1 + beyond)
    y = ops.clip(b0 * columns + b1 * rows + b2, -beyond, height - 1 + beyond)
    left, top = ops.floor(x), ops.floor(y)
    right, below = x - left, y - top
    first = ops.arange(number, dtype="int32")[:, None, None] * (tall * wide)
    place = first + (ops.cast(top, "int32") + 1) * wide + ops.cast(left, "int32") + 1

    def between(start: int) -> Any:
        """(N, H, W): the two neighbours in the upper row, weighed, or in the lower."""
        one, other = ops.take(pixels, place + start), ops.take(pixels, place + start + 1)
        return (1 - right) * one + right * other

    return ((1 - below) * between(0) + below * between(wide))[..., None]
