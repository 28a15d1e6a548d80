"""Adam's step in one kernel of TensorFlow's."""

import keras

from cxrkeras import runtime


def in_one_kernel(kind: type[keras.optimizers.Adam]) -> type[keras.optimizers.Adam]:
    """A subclass of `kind` that moves each weight by one kernel; `kind` itself where there is none.

    Keras calls some thirty primitives for each weight, each of which passes over it anew. They are
    most of a training step's: without them a DenseNet121's graph is built and optimised in a third
    less time. The kernel does the same arithmetic in the same order. Keras's primitives go on for
    several devices, AMSGrad, sparse gradients, and weights that aren't float32.

    Source: Keras 3's `Adam.update_step`.
    """
    if runtime.backend() != runtime.TENSORFLOW:
        return kind
    runtime.import_tensorflow()
    import tensorflow as tf

    class OneKernel(kind):
        _power_1 = _power_2 = None  # of the betas, within a step

        def apply(self, grads, trainable_variables=None):
            if not (self.amsgrad or tf.distribute.has_strategy()):
                step = tf.cast(self.iterations.value + 1, "float32")
                self._power_1, self._power_2 = self.beta_1**step, self.beta_2**step
            try:
                super().apply(grads, trainable_variables)
            finally:
                self._power_1 = self._power_2 = None  # a tensor of a trace mustn't outlive it

        def update_step(self, gradient, variable, learning_rate):
            sparse = isinstance(gradient, tf.IndexedSlices)
            if self._power_1 is None or sparse or variable.dtype != "float32":
                super().update_step(gradient, variable, learning_rate)
                return
            place = self._get_variable_index(variable)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=self._momentums[place].value.handle,
                v=self._velocities[place].value.handle,
                beta1_power=self._power_1,
                beta2_power=self._power_2,
                lr=tf.cast(learning_rate, "float32"),
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=self.epsilon,
                grad=tf.cast(gradient, "float32"),
            )

    OneKernel.__name__ = kind.__name__
    return OneKernel
