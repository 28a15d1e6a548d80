"""One device, or several that share each batch and do what one would do with all of it.

Weights are the same on all. A step's rows are shared out in order; batch norm takes its moments
over all of them, and the logits of all are gathered on each device, so that a loss sees the whole
batch: whatever it weighs or counts, it is that of one device. Gradients are then summed.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

import keras

from cxrkeras import runtime
from cxrkeras.runtime.hardware import devices

if TYPE_CHECKING:
    import tensorflow as tf

_APART = 1_000_003  # of the devices' random streams, far more than there are seeds in a fit


class Devices:
    """One device: everything passes as it is.

    Attributes:
        weighs: whether batches come with weights, see `batches`.
        least: rows of a batch to predict from, with fewer of which a device has none. Keras 3.15's
            sums of two (0, C) fail on TensorFlow, as in an LSTM.
    """

    weighs: bool = False
    least: int = 1

    def scope(self) -> AbstractContextManager:
        """Where variables are made, and where they learn."""
        return nullcontext()

    def batches(self, dataset: "tf.data.Dataset") -> "tf.data.Dataset":
        """Batches as `fit` and `predict` take them, of inputs or of (inputs, targets).

        Targets may come with (n,) 1, or 0 for rows that are copies of others: `fit` hands it to the
        loss and the metrics as weights.
        """
        return dataset

    def steps(self, dataset: "tf.data.Dataset") -> int | None:
        """How many `batches` gives of a dataset, where Keras can't find out itself."""
        return None

    def share(self, inputs: Any) -> Any:
        """Within a step: what a device computes of a batch's inputs."""
        return inputs

    def gather(self, rows: Any, counted: Any) -> Any:
        """Within a step: (N, ...) of the whole batch, from what each device has of it.

        Args:
            rows: this device's.
            counted: (n,) of them, 0 for copies of others' rows; None if there are none.
        """
        return rows

    def part_of(self, loss: Any) -> Any:
        """A device's part of a loss that each computed of the whole batch."""
        return loss

    def join(self, norms: Iterable[keras.layers.BatchNormalization]) -> None:
        """Let batch norms take their moments over the whole batch; before they are traced."""

    def part_streams(self, states: Iterable[keras.Variable]) -> None:
        """Let each device draw numbers of its own, from states that are equal on all."""


class _Sharded(Devices):
    """Of JAX: one program for the whole batch, whose rows are spread over the devices.

    A batch that they don't divide is computed by each as a whole.
    """

    def __init__(self, count: int):
        devices = keras.distribution.list_devices()[:count]
        self._mesh = keras.distribution.DeviceMesh((count,), ["batch"], devices)
        self._distribution = _Whole(self._mesh)

    def scope(self):
        return self._distribution.scope()

    def share(self, inputs):
        return keras.tree.map_structure(self._shared, inputs)

    def gather(self, rows, counted):
        return self._placed(rows, None)

    def _shared(self, rows):
        divides = rows.shape[0] % self._mesh.devices.size == 0
        return self._placed(rows, "batch") if divides else rows

    def _placed(self, rows, first: str | None):
        axes = [first, *[None] * (len(rows.shape) - 1)]
        layout = keras.distribution.TensorLayout(axes, self._mesh)
        return keras.distribution.distribute_tensor(rows, layout)


class _Whole(keras.distribution.DataParallel):
    """Every device gets each batch, of any size; what it computes of it is said in the step.

    Keras asks for a layout but once, for the first batch, which the last may not fit.
    """

    def __init__(self, mesh: keras.distribution.DeviceMesh):
        super().__init__(device_mesh=mesh, auto_shard_dataset=False)

    def get_data_layout(self, data_shape):
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


class _Mirrored(Devices):
    """Of TensorFlow: a copy of the model on each device, each with rows of its own.

    Where a batch to learn from has fewer rows than there are devices, each gets all of them, and
    those of the first count: TensorFlow has no gradient of batch norm without a row.
    """

    weighs = True

    def __init__(self, count: int):
        import tensorflow as tf

        self._count = self.least = count
        names = devices()[:count]
        over = tf.distribute.ReductionToOneDevice() if "CPU" in names[0] else None
        self._strategy = tf.distribute.MirroredStrategy(names, cross_device_ops=over)

    def scope(self):
        return self._strategy.scope()

    def batches(self, dataset):
        import tensorflow as tf

        def parts(*batch):
            rows = tf.shape(tf.nest.flatten(batch)[0], out_type=tf.int64)[0]
            # As even as can be: a device without a row is one too many.
            ends = tf.range(self._count + 1, dtype=tf.int64) * rows // self._count

            def part(number):
                few = (len(batch) > 1) & (rows < self._count)
                first = tf.where(few, tf.zeros_like(number), ends[number])
                last = tf.where(few, rows, ends[number + 1])
                own = tf.nest.map_structure(lambda values: values[first:last], batch)
                counts = tf.cast(~few | (number == 0), tf.float32)
                return (*own, tf.fill([last - first], counts)) if len(own) > 1 else own[0]

            return tf.data.Dataset.range(self._count).map(part)

        # Without end, since Keras warns when one comes whose place it doesn't know.
        shared = dataset.repeat().flat_map(parts).prefetch(2 * self._count)
        return self._strategy.distribute_datasets_from_function(lambda context: shared)

    def steps(self, dataset):
        return int(dataset.cardinality())

    def gather(self, rows, counted):
        import tensorflow as tf

        replica = tf.distribute.get_replica_context()
        counts = replica.all_gather(counted, axis=0) > 0
        return tf.boolean_mask(replica.all_gather(rows, axis=0), counts)

    def part_of(self, loss):
        return loss / self._count

    def join(self, norms):
        for norm in norms:
            norm.synchronized = True

    def part_streams(self, states):
        for state in states:
            for number, own in enumerate(state.value.values):
                own.assign_add([number * _APART, 0])


ONE = Devices()


@cache
def shared_by(count: int) -> Devices:
    """So many of the devices that Keras computes on, which must be there."""
    if count == 1:
        return ONE
    return _Sharded(count) if runtime.backend() == runtime.JAX else _Mirrored(count)
