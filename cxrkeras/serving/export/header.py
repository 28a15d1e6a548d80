"""In the graph: what a PNG or JPEG says beside its pixels, chunk by chunk, as Pillow reads it."""

from typing import NamedTuple

import tensorflow as tf

from cxrkeras.serving.export.sending import JPEG, PNG

_START_OF_SCAN = 0xDA  # of a JPEG: its compressed pixels follow
_EXIF, _SEVERAL = b"Exif\0\0", b"MPF\0"  # how a JPEG's segments of these begin
_TIFF = 1 << 16  # bytes of EXIF that are looked at; a JPEG's segment is no longer
_ORIENTATION = 0x0112


class Header(NamedTuple):
    """What decides how the pixels are to be taken; scalars.

    Args:
        png, jpeg: bool, which of the two a file is, if any.
        several: bool, whether there are more pictures in it than one.
        orientation: int32, EXIF's 1 to 8; 1 where none is said.
    """

    png: tf.Tensor
    jpeg: tf.Tensor
    several: tf.Tensor
    orientation: tf.Tensor


def read_header(content: tf.Tensor) -> Header:
    """Read a file, a scalar string; of one that is damaged, as far as it goes."""
    png = tf.strings.substr(content, 0, len(PNG)) == PNG
    jpeg = tf.strings.substr(content, 0, len(JPEG)) == JPEG
    walk = tf.where(jpeg, len(JPEG) - 1, tf.where(png, len(PNG), tf.strings.length(content)))
    several, exif = tf.cond(png, lambda: _chunks(content, walk), lambda: _segments(content, walk))
    orientation = tf.cond(exif > 0, lambda: _in_tiff(content, exif), lambda: tf.constant(1))
    return Header(png, jpeg, several, orientation)


def upright(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turn a picture as its EXIF orientation says: (H, W) -> (H, W) or (W, H)."""
    turned = tf.switch_case(
        orientation - 1,
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


def _chunks(content: tf.Tensor, start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Of a PNG: whether it is animated, and where its EXIF begins, 0 = nowhere.

    A chunk is its length (4 bytes), its name (4), its content and a check sum (4).
    """

    def step(place, animated, exif):
        name = tf.strings.substr(content, place + 4, 4)
        exif = tf.where((name == b"eXIf") & (exif == 0), place + 8, exif)
        return place + 12 + _number(content, place, 4), animated | (name == b"acTL"), exif

    _, animated, exif = _walk(content, 12, step, (start, tf.constant(False), tf.constant(0)))
    return animated, exif


def _segments(content: tf.Tensor, start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Of a JPEG, as `_chunks`. A segment is FF, its kind, and its length (2 bytes, which count)."""
    end = tf.strings.length(content)

    def step(place, several, exif):
        kind = _number(content, place + 1, 1)
        opening = tf.strings.substr(content, place + 4, len(_EXIF))
        here = (opening == _EXIF) & (kind == 0xE1) & (exif == 0)
        exif = tf.where(here, place + 4 + len(_EXIF), exif)
        opening = tf.strings.substr(content, place + 4, len(_SEVERAL))
        several |= (opening == _SEVERAL) & (kind == 0xE2)
        following = tf.where(kind == 0xFF, place + 1, place + 2 + _number(content, place + 2, 2))
        return tf.where(kind == _START_OF_SCAN, end, following), several, exif

    _, several, exif = _walk(content, 10, step, (start, tf.constant(False), tf.constant(0)))
    return several, exif


def _walk(content: tf.Tensor, needed: int, step, state: tuple) -> tuple:
    """Go on, place by place, while `needed` bytes are there and it goes forward."""
    end = tf.strings.length(content)

    def inside(place, *_):
        return (place >= 0) & (place <= end - needed)

    return tf.while_loop(inside, step, state)


def _number(content: tf.Tensor, place: tf.Tensor, width: int) -> tf.Tensor:
    """`width` bytes, the highest first, as int32; a length that is no such number ends the walk."""
    read = tf.io.decode_raw(tf.strings.substr(content, place, width), tf.uint8)
    values = tf.cast(tf.ensure_shape(read, (width,)), tf.int64)
    value = tf.reduce_sum(values * [1 << 8 * (width - 1 - place) for place in range(width)])
    return tf.cast(tf.minimum(value, 1 << 30), tf.int32)


def _in_tiff(content: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """The orientation among the entries of the first directory; bytes beyond the end are 0."""
    read = tf.io.decode_raw(tf.strings.substr(content, start, _TIFF), tf.uint8)
    tiff = tf.cast(read, tf.int32)
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
