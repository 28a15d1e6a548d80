"""The images of a prepared dataset, decoded: all in memory, or batch by batch."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cxrkeras import runtime
from cxrkeras.data.dataset import PreparedDataset, mending
from cxrkeras.data.inputs import IMAGE
from cxrkeras.data.pixels import Files, PixelCache
from data_prep.dataset.pool import cores
from data_prep.errors import UserError

runtime.import_tensorflow()  # before anybody else does: it is noisy and takes the GPUs
import tensorflow as tf  # noqa: E402

DECODER = f"tensorflow {tf.__version__}"
RAM_LIMIT = 4 * 2**30  # bytes of decoded images that are kept in memory
_AHEAD = 2  # elements that wait, beside those of each core


class Images:
    """The images of one dataset at one size.

    They are decoded once if they fit in memory; else whenever they are asked for, or read from a
    cache of pixels, which is filled on the way. The values are the same to the byte.

    Args:
        paths: N files, 8-bit grey PNG.
        size: the side S, in pixels, to which they are resized (bilinear, antialiased).
        known: {input: (N, 1) float32}, the inputs beside the images.
        cache: of the same files at this size; with it nothing is kept in memory.

    Raises:
        UserError: files are missing, or, if all are decoded at once, damaged.
    """

    def __init__(
        self,
        paths: list[str],
        size: int,
        known: Mapping[str, np.ndarray] | None = None,
        cache: PixelCache | None = None,
    ):
        if missing := [path for path in paths if not os.path.isfile(path)]:
            raise UserError(
                f"{len(missing)} of {len(paths)} prepared images are missing, such as "
                f"{missing[0]}. {mending(Path(missing[0]))}"
            )
        self._paths, self._size = tf.constant(paths), size
        self._files = Files(paths, size) if cache is None else cache
        with tf.device("CPU:0"):
            self.known = {name: tf.constant(values) for name, values in (known or {}).items()}
        in_memory = cache is None and fit_in_memory(len(paths), size)
        self.pixels = self._decode_all() if in_memory else None

    @classmethod
    def of(
        cls,
        dataset: PreparedDataset,
        size: int,
        inputs: Sequence[str],
        cache: PixelCache | None = None,
    ) -> "Images":
        """The images of a dataset, with the inputs that a model takes."""
        return cls(dataset.paths, size, dataset.known(inputs), cache)

    def __len__(self) -> int:
        return int(self._paths.shape[0])

    def take(self, index: tf.Tensor) -> tf.Tensor | dict[str, tf.Tensor]:
        """(B,) indices -> (B, S, S, 1) float32, 0-255; a dictionary if there are further inputs."""
        images = self._images(index)
        if not self.known:
            return images
        known = {name: tf.gather(values, index) for name, values in self.known.items()}
        return {IMAGE: images, **{n: tf.ensure_shape(v, (None, 1)) for n, v in known.items()}}

    def _images(self, index: tf.Tensor) -> tf.Tensor:
        images = self._streamed(index) if self.pixels is None else tf.gather(self.pixels, index)
        images = tf.ensure_shape(images, (None, self._size, self._size, 1))
        return tf.cast(images, tf.float32)

    def _streamed(self, index: tf.Tensor) -> tf.Tensor:
        kinds = (tf.uint8, tf.int32, tf.int32, tf.string)
        # Not "stateful": for determinism's sake, tf.data runs what is so one call after the other.
        there, found, missing, contents = tf.numpy_function(
            self._files.read, [index], kinds, stateful=False
        )
        there = tf.ensure_shape(there, (None, self._size, self._size, 1))
        found, missing, contents = (tf.ensure_shape(x, (None,)) for x in (found, missing, contents))

        def completed() -> tf.Tensor:
            decoded = tf.map_fn(self._from_file, contents, fn_output_signature=tf.uint8)
            which = tf.gather(index, missing)
            places = tf.numpy_function(
                self._stored, [which, decoded, missing], tf.int32, stateful=False
            )
            return tf.dynamic_stitch([found, tf.ensure_shape(places, (None,))], [there, decoded])

        return tf.cond(tf.size(missing) > 0, completed, lambda: there)

    def _stored(self, index: np.ndarray, pixels: np.ndarray, places: np.ndarray) -> np.ndarray:
        # Gives the places back, since a call that gives nothing used may be optimised away.
        self._files.store(index, pixels)
        return places

    @tf.autograph.experimental.do_not_convert  # see `pipeline`
    def _decode_all(self) -> tf.Tensor:
        # Element by element into one array, so that the images stand in memory once, not twice.
        pixels = np.empty((len(self), self._size, self._size, 1), np.uint8)
        decoded = ahead(tf.data.Dataset.from_tensor_slices(self._paths), self._decode)
        row = -1
        try:
            for row, image in enumerate(decoded.as_numpy_iterator()):
                pixels[row] = image
        except tf.errors.OpError as error:
            path = Path(self._paths[row + 1].numpy().decode())
            raise UserError(f"A prepared image is damaged: {path}. {mending(path)}") from error
        with tf.device("CPU:0"):  # tf.data works there, and memory on a GPU is scarce
            return tf.constant(pixels)

    def _decode(self, path: tf.Tensor) -> tf.Tensor:
        return self._from_file(tf.io.read_file(path))

    def _from_file(self, content: tf.Tensor) -> tf.Tensor:
        image, side = tf.io.decode_png(content, channels=1), self._size
        as_it_is = tf.reduce_all(tf.shape(image)[:2] == side)
        image = tf.cond(as_it_is, lambda: image, lambda: resized(image, side))
        return tf.ensure_shape(image, (side, side, 1))


def ahead(dataset: tf.data.Dataset, work: Callable) -> tf.data.Dataset:
    """`dataset.map(work)`: an element on each core, and ahead of whoever takes them, in order.

    tf.data's autotuner is off. Where it is on, an iterator often can't end before the autotuner's
    thread wakes again, which has slept for as long as the iterator has lived (TensorFlow 2.21, up
    to a minute), and everything waits for that: a fit of 3.4 s takes 5.1.
    """
    mapped = dataset.map(work, num_parallel_calls=cores())
    return untuned(mapped.prefetch(_AHEAD))


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Without tf.data's autotuner, see `ahead`."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def fit_in_memory(count: int, size: int) -> bool:
    """Whether `Images` of this number and side S are decoded once and kept in memory."""
    return count * size * size <= RAM_LIMIT


def resized(images: "tf.Tensor | np.ndarray", size: int) -> tf.Tensor:
    """Resize prepared images to the side that a model sees, in training and serving alike.

    The same triangle filter as `data_prep.films.film.to_square`.

    Args:
        images: ([N,] P, P, 1) uint8.
        size: the side S in pixels.

    Returns:
        ([N,] S, S, 1) uint8; the images themselves if their shape says that they have the size.
    """
    if tuple(images.shape[-3:-1]) == (size, size):
        return tf.convert_to_tensor(images)
    images = tf.image.resize(images, (size, size), "bilinear", antialias=True)
    return tf.cast(tf.round(images), tf.uint8)
