"""Mixes each image of a batch with another, and their targets in the same proportion.

Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018 (section 2)
"""

from typing import TYPE_CHECKING, Any

from cxrkeras.data.labels.entries import MASKED
from cxrkeras.data.transforms import Transform
from cxrkeras.registry import option

if TYPE_CHECKING:
    import tensorflow as tf


class Part(Transform):
    """x = w x_i + (1 - w) x_j, y = w y_i + (1 - w) y_j, with w from Beta(alpha, alpha) per pair.

    The partners j are a permutation of the rows, so a row may be its own partner. An entry is known
    if it is known in both rows; if both are in the uncertain class, it stays there. Further inputs
    are those of the row that weighs more, since codes can't be mixed: there is no view half-way
    between frontal and lateral.
    """

    main = "alpha"
    alpha: float = option(
        0.2,
        "Parameter of Beta(alpha, alpha), from which weights are drawn; larger values mix more "
        "evenly.",
        ge=1e-3,
        le=1e3,
    )

    def apply(
        self, inputs: Any, targets: "dict[str, tf.Tensor]", seed: "tf.Tensor"
    ) -> "tuple[Any, dict[str, tf.Tensor]]":
        """See `Transform`; images are mixed before the model augments them."""
        import tensorflow as tf

        rows = tf.shape(next(iter(targets.values())))[0]
        order, first, second = tf.unstack(tf.random.split(seed, 3))
        partner = tf.random.experimental.stateless_shuffle(tf.range(rows), order)
        weight = tf.sigmoid(self._log_gamma(rows, first) - self._log_gamma(rows, second))

        def mixed(values):
            share = tf.reshape(weight, [-1] + [1] * (len(values.shape) - 1))
            other = tf.gather(values, partner)
            return other + share * (values - other)  # equal values stay equal to the last bit

        def mixed_targets(values):
            other = tf.gather(values, partner)
            known = [(entries >= 0) & (entries <= 1) for entries in (values, other)]
            both = tf.where(known[0] & known[1], tf.clip_by_value(mixed(values), 0.0, 1.0), MASKED)
            return tf.where(values == other, values, both)

        heavier = tf.where(weight < 0.5, partner, tf.range(rows))
        made = (
            {
                name: tf.gather(values, heavier) if _is_code(values) else mixed(values)
                for name, values in inputs.items()
            }
            if isinstance(inputs, dict)
            else mixed(inputs)
        )
        return made, {head: mixed_targets(values) for head, values in targets.items()}

    def _log_gamma(self, rows: "tf.Tensor", seed: "tf.Tensor") -> "tf.Tensor":
        """(B,) logarithms of draws from Gamma(alpha, 1).

        As G(alpha) = G(alpha + 1) U^(1/alpha): for a small alpha the draws themselves become 0.
        """
        import tensorflow as tf

        above, below = tf.unstack(tf.random.split(seed, 2))
        drawn = tf.random.stateless_gamma([rows], above, self.alpha + 1.0)
        uniform = 1.0 - tf.random.stateless_uniform([rows], below)  # never 0
        return tf.math.log(drawn) + tf.math.log(uniform) / self.alpha


def _is_code(values: "tf.Tensor") -> bool:
    return len(values.shape) == 2 and values.shape[1] == 1
