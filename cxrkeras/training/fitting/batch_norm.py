"""Batch norm in training: in one kernel, and its statistics estimated anew, the weights fixed."""

from functools import partial

import keras
from keras import ops

from cxrkeras import runtime
from cxrkeras.runtime.hardware import devices
from cxrkeras.training.fitting.devices import ONE, Devices


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The batch-norm layers of a model, nested ones too."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            found.append(layer)
        elif isinstance(layer, keras.Model):
            found += batch_norms(layer)
    return found


def quicken_batch_norm(model: keras.Model, steps_per_epoch: int) -> None:
    """Let moving averages forget within an epoch, so that the validation loss is meaningful.

    Call this before building a `Trainer`, which compiles the momentum in.
    """
    for layer in batch_norms(model):
        layer.momentum = min(layer.momentum, max(0.7, 1 - 4 / steps_per_epoch))


def fuse(model: keras.Model) -> None:
    """Let batch norms on a CPU normalise by TensorFlow's one kernel, forwards and backwards.

    Keras calls a primitive for each step of the arithmetic, which all pass over the batch anew. The
    layers remain Keras's own with their variables, and compute the same but for rounding; a model
    that is saved, loaded or cloned has nothing of it. Keras's primitives go on wherever a batch's
    own moments aren't used, and for what the kernel can't do: other axes, masks, moments over
    several devices.

    Source: Keras 3's `BatchNormalization.call`. Its moving variance is the population's, the
    kernel's is the unbiased one.
    """
    if runtime.backend() == runtime.TENSORFLOW and "CPU" in devices()[0]:
        for norm in batch_norms(model):
            norm.call = partial(_fused, norm)


def _fused(norm: keras.layers.BatchNormalization, inputs, training=None, mask=None):
    """What `norm.call` returns, with its update of the moving averages."""
    of_batch = training and norm.trainable and norm.variable_dtype == "float32"
    channels_last = len(inputs.shape) == 4 and norm.axis in (-1, 3)
    more = mask is not None or norm.renorm or norm.synchronized
    if not (of_batch and channels_last) or more:
        return type(norm).call(norm, inputs, training=training, mask=mask)
    import tensorflow as tf

    width = inputs.shape[-1]
    found = tf.raw_ops.FusedBatchNormV3(
        x=ops.cast(inputs, norm.compute_dtype),
        scale=ops.convert_to_tensor(norm.gamma) if norm.scale else tf.ones([width]),
        offset=ops.convert_to_tensor(norm.beta) if norm.center else tf.zeros([width]),
        mean=tf.zeros([0]),
        variance=tf.zeros([0]),
        epsilon=norm.epsilon,
    )
    values = tf.cast(tf.size(inputs) // width, "float32")  # of a channel
    variance = found.batch_variance * ((values - 1) / values)
    kept = norm.momentum
    norm.moving_mean.assign(norm.moving_mean * kept + found.batch_mean * (1 - kept))
    norm.moving_variance.assign(norm.moving_variance * kept + variance * (1 - kept))
    return found.y


class Settler:
    """Estimates a model's batch-norm statistics over given batches.

    Keras's moving averages (momentum 0.99) need hundreds of steps; after a short training they
    still hold their initial values. Each batch's own moments are pooled by the law of total
    variance: the mean of the variances plus the variance of the means.

    Args:
        model: the model whose statistics are estimated, as often as wanted; it is traced only once.
        devices: that share each batch.

    Attributes:
        norms: the layers whose statistics are estimated.
    """

    def __init__(self, model: keras.Model, devices: Devices = ONE):
        self.norms, self._devices = [n for n in batch_norms(model) if n.trainable], devices
        self._moments = _Moments(model, self.norms, devices) if self.norms else None

    def settle(self, batches) -> None:
        """Set the model's statistics to those over `batches`, tf.data of (inputs, targets).

        Inputs pass as in training, with dropout; only the statistics change.
        """
        if not self.norms:
            return
        steps = self._devices.steps(batches)
        found = self._moments.predict(self._devices.batches(batches), steps=steps, verbose=0)
        for layer, mean, variance in zip(self.norms, found[::2], found[1::2], strict=True):
            share = 1 - layer.momentum
            means, variances = mean / share, variance / share
            layer.moving_mean.assign(means.mean(axis=0))
            layer.moving_variance.assign(variances.mean(axis=0) + means.var(axis=0))


class _Moments(keras.Model):
    """Inputs -> one row per batch: the mean and the variance (1, C) that each batch norm sees.

    They are read from moving averages that start at zero and so hold the batch's moments times (1 -
    momentum). No variable is touched, since not every backend would notice: the call is stateless,
    and the averages are passed in and out as values.
    """

    def __init__(
        self, model: keras.Model, norms: list[keras.layers.BatchNormalization], devices: Devices
    ):
        super().__init__(name="batch_moments")
        self.model, self.devices = model, devices
        self._averages = [v for norm in norms for v in (norm.moving_mean, norm.moving_variance)]

    def call(self, inputs):
        """(N, ...) inputs -> [mean, variance, mean, …], in the order of the layers."""
        averages = {id(variable) for variable in self._averages}
        states = self.model.non_trainable_variables
        given = [ops.zeros(v.shape, v.dtype) if id(v) in averages else v.value for v in states]
        learnt = [variable.value for variable in self.model.trainable_variables]
        shared = self.devices.share(inputs)
        _, ended = self.model.stateless_call(learnt, given, shared, training=True)
        ended = {id(variable): value for variable, value in zip(states, ended, strict=True)}
        for variable in filter(is_random_state, states):
            variable.assign(ended[id(variable)])  # otherwise each batch would have the same dropout
        return [ended[id(variable)][None] for variable in self._averages]


def is_random_state(variable: keras.Variable) -> bool:
    """Whether a variable is the state of a random stream."""
    return variable.name == "seed_generator_state"
