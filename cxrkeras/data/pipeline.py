"""From image files to batches, with tf.data: decoding, resizing, order, interleaving of sources."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from cxrkeras.data.targets import MASKED
from data_prep.errors import UserError

AUTOTUNE = tf.data.AUTOTUNE
RAM_LIMIT = 4 * 2**30  # bytes of decoded images that are kept in memory
_MEND = "Run the dataset's `cxrkeras prep` command again; it makes again what is missing."


class Images:
    """The images of one dataset at one size: decoded once where they fit in memory.

    Args:
        paths: N files, 8-bit grey PNG.
        size: the side S in pixels to which they are resized (bilinear, antialiased).

    Raises:
        UserError: for files that are missing, and for a damaged one where all are decoded at once.
    """

    def __init__(self, paths: list[str], size: int):
        if missing := sum(not os.path.isfile(path) for path in paths):
            raise UserError(f"{missing} of {len(paths)} prepared images are missing. {_MEND}")
        self.paths = tf.constant(paths)
        self.size = size
        self.pixels = self._decode_all() if len(paths) * size * size <= RAM_LIMIT else None

    def __len__(self) -> int:
        return int(self.paths.shape[0])

    def take(self, index: tf.Tensor) -> tf.Tensor:
        """(B,) indices -> (B, S, S, 1) float32, 0-255."""
        if self.pixels is not None:
            images = tf.gather(self.pixels, index)
        else:
            images = tf.map_fn(
                self._decode, tf.gather(self.paths, index), fn_output_signature=tf.uint8
            )
        images = tf.ensure_shape(images, (None, self.size, self.size, 1))
        return tf.cast(images, tf.float32)

    def _decode_all(self) -> tf.Tensor:
        # Element by element into one array, so that the images stand in memory once, not twice.
        pixels = np.empty((len(self), self.size, self.size, 1), np.uint8)
        decoded = tf.data.Dataset.from_tensor_slices(self.paths)
        decoded = decoded.map(self._decode, num_parallel_calls=AUTOTUNE).prefetch(AUTOTUNE)
        row = -1
        try:
            for row, image in enumerate(decoded.as_numpy_iterator()):
                pixels[row] = image
        except tf.errors.OpError as error:
            path = self.paths[row + 1].numpy().decode()
            raise UserError(f"A prepared image is damaged: {path}. {_MEND}") from error
        with tf.device("CPU:0"):  # where tf.data works, and what is short on a GPU is memory
            return tf.constant(pixels)

    def _decode(self, path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_png(tf.io.read_file(path), channels=1)
        # The same triangle filter as data_prep.pixels.to_square.
        image = tf.image.resize(image, (self.size, self.size), "bilinear", antialias=True)
        return tf.cast(tf.round(image), tf.uint8)


class Features:
    """Rows that stand in memory already, e.g. pooled features: (N, C) float32."""

    def __init__(self, values: np.ndarray):
        with tf.device("CPU:0"):
            self.values = tf.constant(values, tf.float32)

    def take(self, index: tf.Tensor) -> tf.Tensor:
        """(B,) indices -> (B, C) float32."""
        return tf.ensure_shape(tf.gather(self.values, index), (None, self.values.shape[1]))


class Part(NamedTuple):
    """Some images of a dataset with their targets, and the head that learns from them.

    Args:
        head: its name; several parts may share one.
        inputs: the dataset's images (or features).
        index: (n,) the rows that belong to the part.
        targets: (n, K) float32 in [0, 1], or MASKED.
        epoch: rows that make an epoch where not all n do, drawn anew each time when shuffled.
    """

    head: str
    inputs: "Images | Features"
    index: np.ndarray
    targets: np.ndarray
    epoch: int | None = None

    @property
    def rows(self) -> int:
        """Rows of an epoch."""
        return self.epoch or len(self.index)


def image_batches(images: Images, index: np.ndarray, batch_size: int) -> tf.data.Dataset:
    """Images alone, in the order of `index`: batches of (B, S, S, 1) float32, 0-255."""
    batches = tf.data.Dataset.from_tensor_slices(index).batch(batch_size)
    return batches.map(images.take, num_parallel_calls=AUTOTUNE).prefetch(AUTOTUNE)


def labelled_batches(
    parts: Sequence[Part], batch_size: int, *, shuffle: int | None = None, whole: bool = False
) -> tf.data.Dataset:
    """Batches of (inputs, {head: targets}); each holds one batch of every part in turn.

    Rows of a part are MASKED in the targets of the heads that don't learn from it. Shorter parts
    start again until the longest has been seen once: that is an epoch.

    Args:
        parts: one, or those that train together.
        batch_size: rows per part.
        shuffle: the seed of a new order in each epoch; None keeps the order.
        whole: leave out a last batch that is not full, where there is a full one.

    Returns:
        Elements (inputs (B, ...) float32, {head: (B, K_head) float32}), B up to
        batch_size x parts.
    """
    streams = [_stream(part, batch_size, shuffle, repeat=len(parts) > 1) for part in parts]
    widths = head_widths(parts)

    def join(*batches):
        targets = {}
        for head, width in widths.items():
            rows = [
                target if part.head == head else tf.fill((tf.shape(target)[0], width), MASKED)
                for part, (_, target) in zip(parts, batches, strict=True)
            ]
            targets[head] = tf.ensure_shape(tf.concat(rows, axis=0), (None, width))
        return tf.concat([inputs for inputs, _ in batches], axis=0), targets

    longest = max(part.rows for part in parts)
    steps = longest // batch_size if whole and longest >= batch_size else -(-longest // batch_size)
    return tf.data.Dataset.zip(tuple(streams)).map(join).take(steps).prefetch(AUTOTUNE)


def head_widths(parts: Sequence[Part]) -> dict[str, int]:
    """The number of labels of each head, in the parts' order."""
    return {part.head: part.targets.shape[1] for part in parts}


def _stream(part: Part, batch_size: int, shuffle: int | None, *, repeat: bool) -> tf.data.Dataset:
    rows = tf.data.Dataset.from_tensor_slices((part.index, part.targets))
    if shuffle is not None:
        rows = rows.shuffle(len(part.index), seed=shuffle, reshuffle_each_iteration=True)
    if repeat:
        rows = rows.repeat()
    return rows.batch(batch_size).map(
        lambda index, target: (part.inputs.take(index), target), num_parallel_calls=AUTOTUNE
    )
