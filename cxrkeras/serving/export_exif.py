"""In the graph: the EXIF orientation of a PNG or JPEG, found and applied as Pillow does it."""

import tensorflow as tf

HEAD = 1 << 16  # bytes from the start in which EXIF is sought; a JPEG's segment is no longer
_ORIENTATION = 0x0112
_EXIF = (b"Exif\0\0", b"eXIf")  # before the TIFF header: in a JPEG, in a PNG


def contains(head: tf.Tensor, mark: bytes) -> tf.Tensor:
    """Whether a scalar string contains `mark`."""
    return _after(tf.io.decode_raw(head, tf.uint8), mark) > 0


def upright(pixels: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
    """Turn a picture as its EXIF orientation says.

    Args:
        pixels: (H, W).
        head: a scalar string, the first `HEAD` bytes of its file.

    Returns:
        (H, W) or (W, H).
    """
    turned = tf.switch_case(
        orientation(head) - 1,
        [
            lambda: pixels,
            lambda: pixels[:, ::-1],
            lambda: pixels[::-1, ::-1],
            lambda: pixels[::-1],
            lambda: tf.transpose(pixels),
            lambda: tf.transpose(pixels)[:, ::-1],
            lambda: tf.transpose(pixels)[::-1, ::-1],
            lambda: tf.transpose(pixels)[::-1],
        ],
    )
    return tf.ensure_shape(turned, (None, None))


def orientation(head: tf.Tensor) -> tf.Tensor:
    """1 to 8, as int32; 1 where none is said."""
    read = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int32)
    start = tf.reduce_max([_after(read, mark) for mark in _EXIF])
    return tf.cond(start > 0, lambda: _in_tiff(read[start:]), lambda: tf.constant(1))


def _after(read: tf.Tensor, mark: bytes) -> tf.Tensor:
    """The place after the first occurrence of `mark`, 0 where there is none."""
    places = tf.range(tf.maximum(tf.size(read) - len(mark) + 1, 0))
    here = tf.ones_like(places, tf.bool)
    for offset, byte in enumerate(mark):
        here &= tf.gather(read, places + offset) == byte
    found = tf.where(here)[:1, 0]
    return tf.reduce_sum(tf.cast(found, tf.int32) + len(mark))


def _in_tiff(tiff: tf.Tensor) -> tf.Tensor:
    """The orientation among the entries of the first directory; bytes beyond the end are 0."""
    little = tiff[0] == ord("I")

    def number(places: tf.Tensor, width: int) -> tf.Tensor:
        index = places[..., None] + tf.range(width)
        inside = (index >= 0) & (index < tf.size(tiff))
        values = tf.where(inside, tf.gather(tiff, tf.where(inside, index, 0)), 0)
        values = tf.cond(little, lambda: values, lambda: values[..., ::-1])
        return tf.reduce_sum(values * [1 << 8 * place for place in range(width)], axis=-1)

    directory = number(tf.constant(4), 4)
    entries = directory + 2 + 12 * tf.range(number(directory, 2))
    said = number(tf.boolean_mask(entries, number(entries, 2) == _ORIENTATION)[:1] + 8, 2)
    said = tf.reduce_sum(said)
    return tf.where((said >= 1) & (said <= 8), said, 1)
