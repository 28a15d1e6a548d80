"""Cosines between the pooled features and a direction for each label, scaled.

Source: Wang et al., CosFace, CVPR 2018 (section 3.1), whose margin is `--loss large_margin`. There
is no bias: a label's share of positives has to be in its direction.
"""

from typing import ClassVar

from cxrkeras.models.heads import gap
from cxrkeras.registry import option


class Part(gap.Part):
    """Logits s cos(t), which lie between -s and s."""

    pooled: ClassVar[bool] = True

    scale: float = option(16.0, "s: the largest logit.", gt=0, le=100)

    def classify(self, features, outputs, *, dropout, seed):
        """Directions start at random: zero has none. See `Head.classify`."""
        from keras import constraints, initializers, layers

        first = next(iter(outputs))
        features = layers.Dropout(dropout, seed=seed, name=f"dropout_{first}")(features)
        features = layers.UnitNormalization(name=f"unit_{first}")(features)
        logits = {}
        for number, (name, labels) in enumerate(outputs.items()):
            directions = layers.Dense(
                labels,
                use_bias=False,
                kernel_initializer=initializers.Orthogonal(seed=seed + number),
                kernel_constraint=constraints.UnitNorm(axis=0),
                name=f"{name}-cosine",
            )
            logits[name] = layers.Rescaling(self.scale, name=name)(directions(features))
        return logits
