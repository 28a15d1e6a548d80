"""A chain of labels by an LSTM: each label's probability, given the image and the labels before it.

Source: Yao et al., Learning to diagnose from scratch by exploiting dependencies among labels, 2017:
P(y | x) = prod P(y_t | x, y_1 … y_t-1), in a fixed order; here the dataset's. That the image gives
the first state, and how marginal probabilities are computed, is ours.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from cxrkeras.models.heads.gap import Part as Average
from cxrkeras.registry import option


class Part(Average):
    """Learns with the true labels before each one; predicts the mean over what they may be."""

    taught: ClassVar[bool] = True

    units: int = option(128, "Of the LSTM's state.", ge=1)
    samples: int = option(
        128,
        "Chains drawn for a prediction, the same draws for every image; exact where that many "
        "chains are all there are of the labels before the last.",
        ge=1,
    )

    def classify(self, features, outputs, *, dropout, seed):
        """The logits of P(y_t | x)."""
        return self._marginals(_Chain(features, outputs, self.units, dropout, seed), seed)

    def teach(self, features, outputs, truth, *, dropout, seed):
        """Also the logits of P(y_t | x, true y_1 … y_t-1).

        A label goes on as 2 y - 1, and as 0, neither, where it isn't known.
        """
        from keras import ops

        chain = _Chain(features, outputs, self.units, dropout, seed)
        known = ops.logical_and(ops.greater_equal(truth, 0), ops.less_equal(truth, 1))
        signs = ops.where(known, ops.subtract(ops.multiply(truth, 2.0), 1.0), 0.0)
        found = chain.run(1, lambda step, _: ops.take(signs, [step], axis=1))
        taught = {name: ops.concatenate(steps, axis=1) for name, steps in found.items()}
        return self._marginals(chain, seed), taught

    def _marginals(self, chain: "_Chain", seed: int) -> dict:
        from keras import ops

        from cxrkeras.models.heads.shared import chain as chains

        exact = 2 ** (chain.labels - 1) <= self.samples
        if exact:
            table = chains.every_prefix(chain.labels)
        else:
            table = chains.thresholds(self.samples, chain.labels, seed)
        weights = []

        def choose(step: int, scores):
            """The label's sign in each chain; the chain's weight where all chains are taken."""
            row = table[None, :, step]
            nothing = ops.zeros_like(scores)
            before = weights[-1] if weights else nothing
            if not exact:
                weights.append(before)
                return ops.where(ops.greater(scores, row), 1.0, -1.0)
            weights.append(ops.add(before, ops.log_sigmoid(ops.multiply(scores, row))))
            return ops.add(nothing, row)

        found = chain.run(len(table), choose)
        weights.insert(0, ops.zeros_like(found[chain.first][0]))
        return {
            name: ops.concatenate(list(map(chains.marginal_logit, steps, weights)), axis=1)
            for name, steps in found.items()
        }


class _Chain:
    """The layers, which stand in the graph once for each use and label.

    Args:
        features: (N, F).
        outputs: see `Head.classify`; all have the labels of the first, which go on.
        units: of the state.
        dropout: of the features.
        seed: of the first weights.
    """

    def __init__(
        self, features: Any, outputs: Mapping[str, int], units: int, dropout: float, seed: int
    ):
        from keras import initializers, layers

        self.first = first = next(iter(outputs))
        self.labels = outputs[first]
        features = layers.Dropout(dropout, seed=seed, name=f"dropout_{first}")(features)

        def start(name: str, activation: str | None, draw: int):
            return layers.Dense(
                units,
                activation,
                kernel_initializer=initializers.GlorotUniform(seed + draw),
                name=f"{name}_{first}",
            )(features)

        self._state = [start("hidden", "tanh", 0), start("carried", None, 1)]
        self._cell = layers.LSTMCell(
            units,
            kernel_initializer=initializers.GlorotUniform(seed + 2),
            recurrent_initializer=initializers.Orthogonal(seed=seed + 3),
            name=f"cell_{first}",
        )
        self._last = {
            name: layers.Dense(labels, kernel_initializer="zeros", name=name)
            for name, labels in outputs.items()
        }

    def run(self, chains: int, choose: Callable[[int, Any], Any]) -> dict[str, list]:
        """The logits (N, R) of every label in turn, for each output.

        Args:
            chains: R, of each image.
            choose: (t, the first output's logits of label t (N, R)) -> its sign (N, R), in [-1, 1].
        """
        import numpy as np
        from keras import ops

        state = [
            ops.reshape(ops.tile(ops.expand_dims(part, 1), (1, chains, 1)), (-1, part.shape[1]))
            for part in self._state
        ]
        places = np.eye(self.labels, dtype=np.float32)
        given = ops.multiply(ops.zeros_like(ops.take(state[0], [0], axis=1)), places[:1])
        found: dict[str, list] = {name: [] for name in self._last}
        for step in range(self.labels):
            hidden, state = self._cell(given, state)
            for name, last in self._last.items():
                scores = ops.take(last(hidden), [step], axis=1)
                found[name].append(ops.reshape(scores, (-1, chains)))
            if step + 1 < self.labels:
                sign = ops.reshape(choose(step, found[self.first][step]), (-1, 1))
                given = ops.multiply(sign, places[step : step + 1])
        return found
