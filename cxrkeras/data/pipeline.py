"""Batches with tf.data: ordering, drawing, interleaving sources."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from cxrkeras import runtime
from cxrkeras.data.images import Images, ahead
from cxrkeras.data.labels.entries import MASKED
from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.transforms import Transform

runtime.import_tensorflow()  # before anybody else does: it is noisy and takes the GPUs
import tensorflow as tf  # noqa: E402

# Rewriting `if` and `for` takes most of the first pipeline's time, and nothing here needs it.
_as_it_is = tf.autograph.experimental.do_not_convert


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


class Joined:
    """The rows of several inputs, one after another.

    Args:
        parts: of the same kind and size.
    """

    def __init__(self, parts: "Sequence[Images | Features]"):
        self._parts = list(parts)
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def take(self, index: tf.Tensor) -> tf.Tensor | dict[str, tf.Tensor]:
        """(B,) indices -> as the parts give them."""
        index = tf.convert_to_tensor(index)
        which = tf.searchsorted(tf.constant(self._ends, index.dtype), index, side="right")
        places = tf.dynamic_partition(tf.range(tf.size(index)), which, len(self._parts))
        starts = [0, *self._ends[:-1]]
        taken = [
            _some(part, tf.gather(index, own) - tf.cast(start, index.dtype))
            for part, own, start in zip(self._parts, places, starts, strict=True)
        ]
        return tf.nest.map_structure(lambda *each: _stitched(places, each), *taken)


def _some(part: "Images | Features", index: tf.Tensor):
    """Rows of a part, or none: it is asked for at least one."""
    count = tf.size(index)
    asked = tf.concat([index, tf.zeros((1,), index.dtype)], axis=0)[: tf.maximum(count, 1)]
    return tf.nest.map_structure(lambda values: values[:count], part.take(asked))


def _stitched(places: list[tf.Tensor], values: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.ensure_shape(tf.dynamic_stitch(places, list(values)), (None, *values[0].shape[1:]))


class Part(NamedTuple):
    """Some images of a dataset with their targets, and the head that learns from them.

    Args:
        head: name of the head; several parts may share one.
        inputs: the dataset's images (or features).
        index: (n,) the rows that belong to the part.
        targets: of these n rows.
        epoch: number of rows in an epoch, if not all n; drawn anew each time when shuffled.
        beside: the targets that further heads learn from the same rows, none of them a range or
            weighed.
        weights: (n,) how often each row is drawn in a shuffled epoch, in proportion; never less
            than the whole part of that, nor more than one time above it. None draws all alike.
    """

    head: str
    inputs: "Images | Features | Joined"
    index: np.ndarray
    targets: Targets
    epoch: int | None = None
    beside: Mapping[str, Targets] = MappingProxyType({})
    weights: np.ndarray | None = None

    @property
    def taught(self) -> dict[str, Targets]:
        """The targets by head."""
        return {self.head: self.targets, **self.beside}

    @property
    def rows(self) -> int:
        """Number of rows in an epoch."""
        if self.epoch is None and self.weights is not None:
            return max(1, round(float(self.weights.sum())))
        return self.epoch or len(self.index)

    @property
    def times(self) -> np.ndarray | None:
        """(n,) float64, how often each row is drawn in an epoch on average; None: see `weights`."""
        if self.weights is None:
            return None
        return self.rows * np.float64(self.weights) / np.float64(self.weights).sum()


@_as_it_is
def image_batches(
    inputs: "Images | Features", index: np.ndarray, batch_size: int
) -> tf.data.Dataset:
    """Batches of inputs alone, in the order of `index`: (B, ...) float32, images 0-255."""
    batches = tf.data.Dataset.from_tensor_slices(index).batch(batch_size)
    return ahead(batches, inputs.take)


@_as_it_is
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
        batch_size x parts; `steps_per_epoch` of them per epoch. Where entries of a head weigh
        differently, its targets are (B, K_head, 2), see `data.labels.entries`.
    """
    if transform is not None and shuffle is None:
        raise ValueError("A transform needs shuffled batches: it draws by their seed.")
    steps = steps_per_epoch(parts, batch_size, whole=whole)
    weighed = {part.head for part in parts if part.targets.weights is not None}
    streams = [
        _Stream(
            part,
            number,
            batch_size,
            shuffle,
            transform,
            alone=len(parts) == 1,
            weighed=part.head in weighed,
        )
        for number, part in enumerate(parts)
    ]
    shapes = {
        head: (width, 2) if head in weighed else (width,)
        for head, width in head_widths(parts).items()
    }

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
        return inputs, _joined(parts, shapes, batches)

    numbers = tf.data.Dataset.range(epochs.start, epochs.stop)
    counted = tf.data.experimental.assert_cardinality(steps * len(epochs))
    return ahead(numbers.flat_map(of_epoch), load).apply(counted)


def steps_per_epoch(parts: Sequence[Part], batch_size: int, *, whole: bool = False) -> int:
    """The number of batches in an epoch; arguments as for `labelled_batches`."""
    longest = max(part.rows for part in parts)
    return longest // batch_size if whole and longest >= batch_size else -(-longest // batch_size)


def head_widths(parts: Sequence[Part]) -> dict[str, int]:
    """The number of labels of each head, in the parts' order."""
    return {head: t.values.shape[1] for part in parts for head, t in part.taught.items()}


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
        weighed: bool,
    ):
        targets = part.targets
        with tf.device("CPU:0"):  # where tf.data works
            self._index = tf.constant(part.index, tf.int64)
            self._values = tf.constant(targets.values, tf.float32)
            drawn = seed is not None and targets.spread is not None
            self._spread = tf.constant(targets.spread, tf.float32) if drawn else None
            self._weights = tf.constant(targets.weighed[1], tf.float32) if weighed else None
            self._beside = {
                head: tf.constant(more.values, tf.float32) for head, more in part.beside.items()
            }
        self._inputs, self._number, self._batch_size = part.inputs, number, batch_size
        self._seed, self._alone, self._rows = seed, alone, len(part.index)
        self._head, self._transform = part.head, transform
        self._often, self._drawn = part.times, part.rows

    def order(self, epoch: tf.Tensor, steps: int) -> tf.Tensor:
        """Row numbers of an epoch; if it is longer than the part, the part starts again."""
        rows, wanted = self._rows, steps * self._batch_size
        weighed = self._often is not None and self._seed is not None
        rows = self._drawn if weighed else rows
        wanted = min(wanted, rows) if self._alone else wanted
        if self._seed is None:
            return tf.range(wanted, dtype=tf.int64) % rows
        seed = self._seed_of(epoch, "order")

        def shuffled(cycle):
            again = tf.random.fold_in(seed, cycle)
            if weighed:
                return self._weighed(again)
            return tf.random.experimental.stateless_shuffle(tf.range(rows, dtype=tf.int64), again)

        cycles = -(-wanted // rows)
        if cycles == 1:  # as usual; a loop takes longer to build
            return shuffled(tf.constant(0, tf.int64))[:wanted]
        each = tf.map_fn(shuffled, tf.range(cycles, dtype=tf.int64))
        return tf.reshape(each, (-1,))[:wanted]

    def _weighed(self, seed: tf.Tensor) -> tf.Tensor:
        """An epoch's row numbers, each as often as its weight says: drawn systematically."""
        shuffle, uses = tf.random.experimental.stateless_shuffle, range(3)
        first, start, last = (tf.random.fold_in(seed, use) for use in uses)
        order = shuffle(tf.range(self._rows, dtype=tf.int64), first)
        ends = tf.cumsum(tf.gather(tf.constant(self._often, tf.float64), order))
        ends = tf.concat([ends[:-1], [tf.constant(self._drawn, tf.float64)]], axis=0)
        offset = tf.random.stateless_uniform((), start, dtype=tf.float64)
        passed = tf.cast(tf.floor(ends + offset), tf.int64)
        times = passed - tf.concat([[tf.constant(0, tf.int64)], passed[:-1]], axis=0)
        return tf.ensure_shape(shuffle(tf.repeat(order, times), last), (self._drawn,))

    def load(self, epoch: tf.Tensor, step: tf.Tensor, rows: tf.Tensor) -> tuple:
        """The inputs of some rows, and their targets by head."""
        values = tf.gather(self._values, rows)
        if self._spread is not None:
            seed = tf.random.fold_in(self._seed_of(epoch, "ranges"), step)
            values += tf.gather(self._spread, rows) * tf.random.stateless_uniform(
                tf.shape(values), seed, -1.0, 1.0
            )
        if self._weights is not None:
            values = tf.stack([values, tf.gather(self._weights, rows)], axis=-1)
        inputs = self._inputs.take(tf.gather(self._index, rows))
        taught = {self._head: values}
        taught |= {head: tf.gather(more, rows) for head, more in self._beside.items()}
        if self._transform is None:
            return inputs, taught
        seed = tf.random.fold_in(self._seed_of(epoch, "transform"), step)
        return self._transform.apply(inputs, taught, seed)

    def _seed_of(self, epoch: tf.Tensor, use: str) -> tf.Tensor:
        # Transforms came later: they count downwards, so that all other seeds stay as they were.
        uses = {"order": 2 * self._number, "ranges": 2 * self._number + 1}
        purpose = uses.get(use, -1 - self._number)
        return tf.random.fold_in([tf.constant(self._seed, tf.int64), epoch], purpose)


def _joined(
    parts: Sequence[Part], shapes: dict[str, tuple[int, ...]], batches: list
) -> dict[str, tf.Tensor]:
    """{head: the rows' targets}, MASKED in the rows of parts of other heads."""
    joined = {}
    for head, shape in shapes.items():
        rows = [
            taught[head]
            if head in taught
            else tf.fill((tf.shape(taught[part.head])[0], *shape), MASKED)
            for part, (_, taught) in zip(parts, batches, strict=True)
        ]
        joined[head] = tf.ensure_shape(tf.concat(rows, axis=0), (None, *shape))
    return joined
