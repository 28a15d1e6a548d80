"""From image files to batches with tf.data: decoding, resizing, ordering, interleaving sources."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cxrkeras import runtime
from cxrkeras.data.dataset import PreparedDataset, mending
from cxrkeras.data.inputs import IMAGE
from cxrkeras.data.labels.entries import MASKED
from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.transforms import Transform
from data_prep.errors import UserError

runtime.import_tensorflow()  # before anybody else does: it is noisy and takes the GPUs
import tensorflow as tf  # noqa: E402

AUTOTUNE = tf.data.AUTOTUNE
RAM_LIMIT = 4 * 2**30  # bytes of decoded images that are kept in memory


class Images:
    """The images of one dataset at one size; decoded once if they fit in memory.

    Args:
        paths: N files, 8-bit grey PNG.
        size: the side S, in pixels, to which they are resized (bilinear, antialiased).
        known: {input: (N, 1) float32}, the inputs beside the images.

    Raises:
        UserError: files are missing, or, if all are decoded at once, damaged.
    """

    def __init__(self, paths: list[str], size: int, known: Mapping[str, np.ndarray] | None = None):
        if missing := [path for path in paths if not os.path.isfile(path)]:
            raise UserError(
                f"{len(missing)} of {len(paths)} prepared images are missing, such as "
                f"{missing[0]}. {mending(Path(missing[0]))}"
            )
        self.paths = tf.constant(paths)
        self.size = size
        with tf.device("CPU:0"):
            self.known = {name: tf.constant(values) for name, values in (known or {}).items()}
        self.pixels = self._decode_all() if len(paths) * size * size <= RAM_LIMIT else None

    @classmethod
    def of(cls, dataset: PreparedDataset, size: int, inputs: Sequence[str]) -> "Images":
        """The images of a dataset, with the inputs that a model takes."""
        return cls(dataset.paths, size, dataset.known(inputs))

    def __len__(self) -> int:
        return int(self.paths.shape[0])

    def take(self, index: tf.Tensor) -> tf.Tensor | dict[str, tf.Tensor]:
        """(B,) indices -> (B, S, S, 1) float32, 0-255; a dictionary if there are further inputs."""
        images = self._images(index)
        if not self.known:
            return images
        known = {name: tf.gather(values, index) for name, values in self.known.items()}
        return {IMAGE: images, **{n: tf.ensure_shape(v, (None, 1)) for n, v in known.items()}}

    def _images(self, index: tf.Tensor) -> tf.Tensor:
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
            path = Path(self.paths[row + 1].numpy().decode())
            raise UserError(f"A prepared image is damaged: {path}. {mending(path)}") from error
        with tf.device("CPU:0"):  # tf.data works there, and memory on a GPU is scarce
            return tf.constant(pixels)

    def _decode(self, path: tf.Tensor) -> tf.Tensor:
        return resized(tf.io.decode_png(tf.io.read_file(path), channels=1), self.size)


def resized(images: "tf.Tensor | np.ndarray", size: int) -> tf.Tensor:
    """Resize prepared images to the side that a model sees, in training and serving alike.

    The same triangle filter as `data_prep.films.film.to_square`.

    Args:
        images: ([N,] P, P, 1) uint8.
        size: the side S in pixels.

    Returns:
        ([N,] S, S, 1) uint8.
    """
    images = tf.image.resize(images, (size, size), "bilinear", antialias=True)
    return tf.cast(tf.round(images), tf.uint8)


class Features:
    """Rows that are already in memory, e.g. pooled features.

    Args:
        values: (V x N, C) float32: the N images, then further copies of all of them, in that order.
        images: N; all rows if not given.
    """

    def __init__(self, values: np.ndarray, images: int | None = None):
        with tf.device("CPU:0"):
            self.values = tf.constant(values, tf.float32)
        self._images = images or len(values)

    def __len__(self) -> int:
        return self._images

    def take(self, index: tf.Tensor) -> tf.Tensor:
        """(B,) indices -> (B, C) float32."""
        return tf.ensure_shape(tf.gather(self.values, index), (None, self.values.shape[1]))


class Part(NamedTuple):
    """Some images of a dataset with their targets, and the head that learns from them.

    Args:
        head: name of the head; several parts may share one.
        inputs: the dataset's images (or features).
        index: (n,) the rows that belong to the part.
        targets: of these n rows.
        epoch: number of rows in an epoch, if not all n; drawn anew each time when shuffled.
    """

    head: str
    inputs: "Images | Features"
    index: np.ndarray
    targets: Targets
    epoch: int | None = None

    @property
    def rows(self) -> int:
        """Number of rows in an epoch."""
        return self.epoch or len(self.index)


def image_batches(
    inputs: "Images | Features", index: np.ndarray, batch_size: int
) -> tf.data.Dataset:
    """Batches of inputs alone, in the order of `index`: (B, ...) float32, images 0-255."""
    batches = tf.data.Dataset.from_tensor_slices(index).batch(batch_size)
    return batches.map(inputs.take, num_parallel_calls=AUTOTUNE).prefetch(AUTOTUNE)


def labelled_batches(
    parts: Sequence[Part],
    batch_size: int,
    *,
    shuffle: int | None = None,
    epochs: range = range(1),
    whole: bool = False,
    transform: Transform | None = None,
) -> tf.data.Dataset:
    """The batches of some epochs, one after another; each joins one batch of every part in turn.

    Rows of a part are MASKED in the targets of heads that don't learn from it. Shorter parts start
    again until the longest has been seen once, which makes an epoch. An epoch's order, targets
    drawn from a range, and what the transform draws depend only on the seed and the epoch's number,
    so `range(3, 9)` continues where `range(3)` ended.

    Args:
        parts: one, or those that train together.
        batch_size: rows per part.
        shuffle: the seed of order and ranges; None keeps the order and takes the middles of ranges.
        epochs: their numbers, from 0.
        whole: drop an incomplete last batch if there is a full one.
        transform: applied to each part's rows of a batch; only with `shuffle`.

    Returns:
        Elements (inputs (B, ...) float32, {head: (B, K_head) float32}), B up to
        batch_size x parts; `steps_per_epoch` of them per epoch.
    """
    if transform is not None and shuffle is None:
        raise ValueError("A transform needs shuffled batches: it draws by their seed.")
    steps = steps_per_epoch(parts, batch_size, whole=whole)
    streams = [
        _Stream(part, number, batch_size, shuffle, transform, alone=len(parts) == 1)
        for number, part in enumerate(parts)
    ]
    widths = head_widths(parts)

    def of_epoch(epoch):
        orders = [stream.order(epoch, steps) for stream in streams]

        def rows(step):
            first = step * batch_size
            return epoch, step, tuple(order[first : first + batch_size] for order in orders)

        return tf.data.Dataset.range(steps).map(rows)

    def load(epoch, step, rows):
        batches = [s.load(epoch, step, r) for s, r in zip(streams, rows, strict=True)]
        inputs = tf.nest.map_structure(
            lambda *each: tf.concat(each, axis=0), *(inputs for inputs, _ in batches)
        )
        return inputs, _joined(parts, widths, batches)

    numbers = tf.data.Dataset.range(epochs.start, epochs.stop)
    batches = numbers.flat_map(of_epoch).map(load, num_parallel_calls=AUTOTUNE)
    counted = tf.data.experimental.assert_cardinality(steps * len(epochs))
    return batches.apply(counted).prefetch(AUTOTUNE)


def steps_per_epoch(parts: Sequence[Part], batch_size: int, *, whole: bool = False) -> int:
    """The number of batches in an epoch; arguments as for `labelled_batches`."""
    longest = max(part.rows for part in parts)
    return longest // batch_size if whole and longest >= batch_size else -(-longest // batch_size)


def head_widths(parts: Sequence[Part]) -> dict[str, int]:
    """The number of labels of each head, in the parts' order."""
    return {part.head: part.targets.values.shape[1] for part in parts}


def three_way_labels(parts: Sequence[Part]) -> dict[str, np.ndarray]:
    """{head: (K,) bool}: the labels with an uncertain class in one of the head's parts."""
    found: dict[str, np.ndarray] = {}
    for part in parts:
        found[part.head] = found.get(part.head, False) | part.targets.three_way
    return found


class _Stream:
    """The rows of one part, epoch by epoch."""

    def __init__(
        self,
        part: Part,
        number: int,
        batch_size: int,
        seed: int | None,
        transform: Transform | None,
        *,
        alone: bool,
    ):
        targets = part.targets
        with tf.device("CPU:0"):  # where tf.data works
            self._index = tf.constant(part.index, tf.int64)
            self._values = tf.constant(targets.values, tf.float32)
            drawn = seed is not None and targets.spread is not None
            self._spread = tf.constant(targets.spread, tf.float32) if drawn else None
        self._inputs, self._number, self._batch_size = part.inputs, number, batch_size
        self._seed, self._alone, self._rows = seed, alone, len(part.index)
        self._head, self._transform = part.head, transform

    def order(self, epoch: tf.Tensor, steps: int) -> tf.Tensor:
        """Row numbers of an epoch; if it is longer than the part, the part starts again."""
        rows, wanted = self._rows, steps * self._batch_size
        wanted = min(wanted, rows) if self._alone else wanted
        if self._seed is None:
            return tf.range(wanted, dtype=tf.int64) % rows
        seed = self._seed_of(epoch, "order")

        def shuffled(cycle):
            again = tf.random.fold_in(seed, cycle)
            return tf.random.experimental.stateless_shuffle(tf.range(rows, dtype=tf.int64), again)

        cycles = tf.range(-(-wanted // rows), dtype=tf.int64)
        return tf.reshape(tf.map_fn(shuffled, cycles), (-1,))[:wanted]

    def load(self, epoch: tf.Tensor, step: tf.Tensor, rows: tf.Tensor) -> tuple:
        """The inputs and targets of some rows."""
        values = tf.gather(self._values, rows)
        if self._spread is not None:
            seed = tf.random.fold_in(self._seed_of(epoch, "ranges"), step)
            values += tf.gather(self._spread, rows) * tf.random.stateless_uniform(
                tf.shape(values), seed, -1.0, 1.0
            )
        inputs = self._inputs.take(tf.gather(self._index, rows))
        if self._transform is None:
            return inputs, values
        seed = tf.random.fold_in(self._seed_of(epoch, "transform"), step)
        inputs, changed = self._transform.apply(inputs, {self._head: values}, seed)
        return inputs, changed[self._head]

    def _seed_of(self, epoch: tf.Tensor, use: str) -> tf.Tensor:
        # Transforms came later: they count downwards, so that all other seeds stay as they were.
        uses = {"order": 2 * self._number, "ranges": 2 * self._number + 1}
        purpose = uses.get(use, -1 - self._number)
        return tf.random.fold_in([tf.constant(self._seed, tf.int64), epoch], purpose)


def _joined(parts: Sequence[Part], widths: dict[str, int], batches: list) -> dict[str, tf.Tensor]:
    """{head: the rows' targets}, MASKED in the rows of parts of other heads."""
    joined = {}
    for head, width in widths.items():
        rows = [
            target if part.head == head else tf.fill((tf.shape(target)[0], width), MASKED)
            for part, (_, target) in zip(parts, batches, strict=True)
        ]
        joined[head] = tf.ensure_shape(tf.concat(rows, axis=0), (None, width))
    return joined
