"""In the graph of a SavedModel: the bytes of a PNG or JPEG to the image that the model sees.

What `data_prep` does to a file (`raster.py`, `pixels.to_square`), said in TensorFlow, so that a
client of the server needs no code of ours. The arithmetic is Pillow's, tap by tap in double
precision, because 8-bit rounding comes after it: reducing 1024 pixels to 512 makes a tie in one
pixel of 64, and another order of summation would round it the other way.
"""

from dataclasses import dataclass

import tensorflow as tf

from cxrkeras.data.images import resized, untuned
from cxrkeras.serving.export.header import read_header, upright
from data_prep.films.admission import DEFAULT, Admission
from data_prep.films.dicom import LUMINANCE

_GREY = 0  # PNG's colour type; all others are read at 8 bits, as Pillow does


@dataclass(frozen=True)
class Decoder:
    """How a dataset was prepared, and the side that its model sees.

    Args:
        prepared_size: the side of the prepared square in pixels.
        pad: keep the aspect and fill up with black.
        stretch: two percentiles that become black and white; None keeps the file's grey.
        image_size: the model's side S in pixels.
        admission: how large a picture may be.
    """

    prepared_size: int
    pad: bool
    stretch: tuple[float, float] | None
    image_size: int
    admission: Admission = DEFAULT

    def batch(self, contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decode every row by itself: a row that can't be read doesn't touch the others.

        Args:
            contents: (N,) strings, each a PNG or JPEG file.

        Returns:
            images (N, S, S, 1) float32, grey 0-255, zero where unreadable; valid (N,) bool.
        """
        rows = tf.size(contents)
        side = self.image_size
        # An operation's error fails its whole graph, except inside a dataset that ignores errors:
        # each row is an element of one, those that fail are left out, the rest go to their places.
        read = tf.data.Dataset.from_tensor_slices((tf.range(rows), contents))
        read = read.map(
            lambda row, content: (row, self.one(content)), num_parallel_calls=tf.data.AUTOTUNE
        ).ignore_errors()
        spare = tf.data.Dataset.from_tensors((rows, tf.zeros((side, side, 1))))
        together = read.concatenate(spare).batch(tf.cast(rows, tf.int64) + 1)
        places, images = untuned(together).get_single_element()
        places, shape = places[:, None], tf.stack([rows + 1, side, side, 1])
        images = tf.scatter_nd(places, images, shape)[:rows]
        valid = tf.scatter_nd(places, tf.ones_like(places[:, 0]), shape[:1])[:rows] > 0
        return tf.ensure_shape(images, (None, side, side, 1)), valid

    def one(self, content: tf.Tensor) -> tf.Tensor:
        """One file, a scalar string -> (S, S, 1) float32, 0-255; an error where `prep` has one."""
        pixels = film(content, self.admission)
        if self.stretch is not None:
            pixels = _stretched(pixels, *self.stretch)
        prepared = to_square(pixels, self.prepared_size, pad=self.pad)[..., None]
        return tf.cast(resized(prepared, self.image_size), tf.float32)


def film(content: tf.Tensor, admission: Admission) -> tf.Tensor:
    """A PNG or JPEG as `data_prep.films.film` reads it: (H, W) float32 in [0, 1], upright."""
    head = read_header(content)
    one = (head.png | head.jpeg) & ~head.several
    tf.debugging.Assert(one, ["neither a PNG nor a JPEG of one picture"])
    pixels = tf.cond(head.png, lambda: _png(content, admission), lambda: _jpeg(content, admission))
    pixels = upright(pixels, head.orientation)
    blank = tf.reduce_max(pixels) == tf.reduce_min(pixels)
    tf.debugging.Assert(~blank, ["blank"])
    return pixels


def _png(content: tf.Tensor, admission: Admission) -> tf.Tensor:
    size = tf.io.decode_raw(tf.strings.substr(content, 16, 8), tf.int32, little_endian=False)
    colour = tf.io.decode_raw(tf.strings.substr(content, 25, 1), tf.uint8)[0]
    _check_size(size, admission)
    # 16 bits for all: those of 8 come out times 257, which 65535 divides back exactly.
    values = tf.io.decode_png(content, dtype=tf.uint16)
    return tf.cond(
        colour == _GREY,
        lambda: tf.cast(values[..., 0], tf.float32) / 65535,
        lambda: _luminance(tf.bitwise.right_shift(values, 8)),
    )


def _jpeg(content: tf.Tensor, admission: Admission) -> tf.Tensor:
    size = tf.io.extract_jpeg_shape(content)
    _check_size(size[:2], admission)
    tf.debugging.Assert(size[2] != 4, ["CMYK"])
    return _luminance(tf.io.decode_jpeg(content, dct_method="INTEGER_ACCURATE"))


def _check_size(size: tf.Tensor, admission: Admission) -> None:
    """Before the decoder takes the memory that a header claims."""
    height, width = tf.cast(size[0], tf.int64), tf.cast(size[1], tf.int64)
    fits = tf.minimum(height, width) >= admission.min_side
    fits &= height * width <= admission.max_pixels
    tf.debugging.Assert(fits, ["too large, or too small"])


def _luminance(values: tf.Tensor) -> tf.Tensor:
    """(H, W, C) of 0-255, C = 1 or 2 grey, 3 or 4 colour -> (H, W) float32 in [0, 1]."""
    values = tf.cast(values, tf.float64)

    def colour() -> tf.Tensor:
        red, green, blue = values[..., 0], values[..., 1], values[..., 2]
        mixed = red * LUMINANCE[0] + green * LUMINANCE[1] + blue * LUMINANCE[2]
        return tf.where(tf.reduce_all((red == green) & (red == blue)), red, mixed)

    grey = tf.cond(tf.shape(values)[2] > 2, colour, lambda: values[..., 0])
    return tf.cast(grey / 255, tf.float32)


def _stretched(pixels: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """As `data_prep.films.film.stretched`; percentiles as `numpy.percentile` has them."""
    ordered = tf.cast(tf.sort(tf.reshape(pixels, [-1])), tf.float64)
    bottom, top = (_percentile(ordered, share) for share in (low, high))

    def spread() -> tf.Tensor:
        start, reach = tf.cast(bottom, tf.float32), tf.cast(top - bottom, tf.float32)
        return tf.clip_by_value((pixels - start) / reach, 0, 1)

    return tf.cond(top > bottom, spread, lambda: pixels)


def _percentile(ordered: tf.Tensor, share: float) -> tf.Tensor:
    place = tf.cast(tf.size(ordered) - 1, tf.float64) * (share / 100)
    below = tf.floor(place)
    first = ordered[tf.cast(below, tf.int32)]
    second = ordered[tf.cast(tf.math.ceil(place), tf.int32)]
    return first + (second - first) * (place - below)


def to_square(pixels: tf.Tensor, size: int, *, pad: bool = False) -> tf.Tensor:
    """As `data_prep.films.film.to_square`: (H, W) in [0, 1] -> (size, size) uint8."""
    rows = columns = tf.constant(size)
    if pad:
        shape = tf.cast(tf.shape(pixels), tf.float64)
        scaled = tf.cast(tf.round(size * shape / tf.reduce_max(shape)), tf.int32)
        rows, columns = tf.unstack(tf.maximum(scaled, 1))
    grey = resample(resample(pixels, columns, 1), rows, 0)
    grey = tf.cast(tf.round(tf.clip_by_value(grey, 0, 1) * 255), tf.uint8)
    top, left = (size - rows) // 2, (size - columns) // 2
    around = [[top, size - rows - top], [left, size - columns - left]]
    return tf.ensure_shape(tf.pad(grey, around), (size, size))


def resample(pixels: tf.Tensor, size: tf.Tensor, axis: int) -> tf.Tensor:
    """Pillow's bilinear resize along one axis: a triangle as wide as the reduction.

    Args:
        pixels: (H, W) float32.
        size: the new length, a scalar int32.
        axis: 0 or 1.

    Returns:
        float32 with that axis of the new length.
    """
    length = tf.shape(pixels)[axis]
    scale = tf.cast(length, tf.float64) / tf.cast(size, tf.float64)
    reach = tf.maximum(scale, 1)
    centre = (tf.cast(tf.range(size), tf.float64) + 0.5) * scale
    first = tf.maximum(tf.cast(centre - reach + 0.5, tf.int32), 0)
    end = tf.minimum(tf.cast(centre + reach + 0.5, tf.int32), length)
    places = first + tf.range(tf.reduce_max(end - first))[:, None]
    away = (tf.cast(places, tf.float64) - centre + 0.5) * (1 / reach)
    weight = tf.where(places < end, tf.maximum(1 - tf.abs(away), 0), 0)
    weight /= tf.foldl(tf.add, weight)  # one after another, unlike reduce_sum
    places = tf.minimum(places, length - 1)
    wide = tf.cast(pixels, tf.float64)
    across = (lambda w: w[:, None]) if axis == 0 else (lambda w: w)

    def add(tap: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tap + 1, total + tf.gather(wide, places[tap], axis=axis) * across(weight[tap])

    start = tf.zeros_like(tf.gather(wide, places[0], axis=axis))
    taps = tf.shape(places)[0]
    _, total = tf.while_loop(lambda tap, _: tap < taps, add, (tf.constant(0), start))
    return tf.cast(total, tf.float32)
