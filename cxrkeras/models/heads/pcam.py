"""Probabilistic class activation maps: each label's logits, averaged where it is probable.

Source: Ye et al., Weakly Supervised Lesion Localization with Probabilistic-CAM Pooling, 2020
(equations 3 and 4), which won CheXpert's competition in 2019. Its logit of the weighted mean of the
features is the weighted mean of the map's logits, since both come from the same linear layer.
"""

from typing import ClassVar

from cxrkeras.models.heads import TARGET, Head
from cxrkeras.models.heads.shared.dense import with_known
from cxrkeras.models.heads.shared.fields import joined_maps


class Part(Head):
    """A 1x1 convolution gives each label's map of logits s; its weights are sigmoid(s), normed."""

    map: ClassVar[str] = "each place's probability, by which the places' logits are averaged"
    unit: ClassVar[str] = "probability"

    def features(self, maps, known, *, seed):
        """[(N, h, w, sum of C), and (N, E) if more is known]: maps at the coarsest trunk's side."""
        joined = joined_maps(maps)
        return joined if known is None else [joined, known]

    def classify(self, features, outputs, *, dropout, seed):
        """The kernels start at zero, as those of any last layer here."""
        from keras import layers, ops

        maps, known = features if isinstance(features, list | tuple) else (features, None)
        first = next(iter(outputs))
        maps = layers.SpatialDropout2D(dropout, seed=seed, name=f"dropout_{first}")(maps)
        logits = {}
        for name, labels in outputs.items():
            scores = layers.Conv2D(labels, 1, kernel_initializer="zeros", name=name)(maps)
            scores = ops.cast(scores, "float32")
            logits[name] = with_known(weighted_mean(scores), known, name)
        return logits

    def heat(self, model, labels):
        """The paper's map, (N, h, w, K) in [0, 1]."""
        from keras import ops

        return ops.sigmoid(ops.cast(model.get_layer(TARGET).output, "float32"))


def weighted_mean(scores):
    """(N, h, w, K) float32 logits -> (N, K), their mean weighted by their probability.

    Counted from the largest, so that a map of one value has exactly that mean.
    """
    from keras import ops

    top = ops.max(scores, axis=(1, 2), keepdims=True)
    weights = ops.exp(ops.subtract(ops.log_sigmoid(scores), ops.log_sigmoid(top)))
    below = ops.sum(ops.multiply(weights, ops.subtract(scores, top)), axis=(1, 2))
    mean = ops.divide(below, ops.sum(weights, axis=(1, 2)))
    return ops.add(ops.squeeze(top, axis=(1, 2)), mean)
