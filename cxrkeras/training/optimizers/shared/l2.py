"""Weight decay as L2 regularisation: its gradient joins that of the loss.

The `weight_decay` of Keras's own optimisers is decoupled, as in the part `adamw`. That of PyTorch's
SGD and Adam, with which most recipes were published, is this.
"""

import keras


def with_l2(kind: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """A subclass that adds l2 w to the gradient of each weight w, before momentum and moments.

    All weights decay, biases and those of batch norm too, as in PyTorch; but not what
    `exclude_from_weight_decay` was told.
    """

    class Decaying(kind):
        def __init__(self, *args, l2: float, **kwargs):
            super().__init__(*args, **kwargs)
            self.l2, self._spared = l2, set()

        def exclude_from_weight_decay(self, var_list=None, var_names=None):
            super().exclude_from_weight_decay(var_list, var_names)
            self._spared = set(map(id, var_list or ()))

        def update_step(self, gradient, variable, learning_rate):
            place = self._get_variable_index(variable)
            if id(self._trainable_variables[place]) not in self._spared:
                gradient = keras.ops.add(gradient, keras.ops.multiply(variable, self.l2))
            super().update_step(gradient, variable, learning_rate)

        def get_config(self):
            return {**super().get_config(), "l2": self.l2}

    Decaying.__name__ = kind.__name__
    return Decaying
