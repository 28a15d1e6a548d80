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

    The partners j are a permutation of the rows, so a row may be its own partner. With w = 1 a row
    stays as it is. Else an entry is known if it is known in both rows; if both are in the uncertain
    class, it stays there. Where entries have weights, these are mixed as well, and y so that each
    row's loss on the mixed image counts with its own weight. Further inputs are those of the row
    that weighs more, since codes can't be mixed: there is no view half-way between frontal and
    lateral.
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
            return blend(values, tf.gather(values, partner), share)

        def mixed_targets(values):
            other = tf.gather(values, partner)
            if len(values.shape) == 2:
                return blended(values, other, weight[:, None])
            return weighed(values, other, weight[:, None])

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


def blend(values: "tf.Tensor", other: "tf.Tensor", share: "tf.Tensor") -> "tf.Tensor":
    """`share` of the values, the rest of the others; equal values, and all of one, to the bit."""
    import tensorflow as tf

    return tf.where(share == 1, values, other + share * (values - other))


def blended(values: "tf.Tensor", other: "tf.Tensor", share: "tf.Tensor") -> "tf.Tensor":
    """Targets (B, K), by the share (B, 1) or (B, K) of the first; known where both are."""
    import tensorflow as tf

    known = [(entries >= 0) & (entries <= 1) for entries in (values, other)]
    both = tf.clip_by_value(blend(values, other, share), 0.0, 1.0)
    both = tf.where(known[0] & known[1], both, MASKED)
    return tf.where((values == other) | (share == 1), values, both)


def weighed(values: "tf.Tensor", other: "tf.Tensor", share: "tf.Tensor") -> "tf.Tensor":
    """The same of targets (B, K, 2): their cross-entropy is the mean of both, weighed."""
    import tensorflow as tf

    (y, v), (y_other, v_other) = (tf.unstack(each, axis=-1) for each in (values, other))
    weight = blend(v, v_other, share)
    part = tf.where(v == v_other, share + tf.zeros_like(v), share * v / weight)
    return tf.stack([blended(y, y_other, tf.minimum(part, 1.0)), weight], axis=-1)


def _is_code(values: "tf.Tensor") -> bool:
    return len(values.shape) == 2 and values.shape[1] == 1
