"""Global average pooling, dropout and a dense layer; features of several trunks side by side.

Source: Huang et al., Diagnostics 2022; heat maps are exact on it (Zhou et al., CVPR 2016).
"""

from typing import ClassVar

from cxrkeras.models.heads import Head


class Part(Head):
    """The study's head: 4096 features of two ResNet50, 2048 of two DenseNet121."""

    pooled: ClassVar[bool] = True

    def features(self, maps, known, *, seed):
        """(N, sum of C): each trunk's last map averaged, then the further inputs."""
        from keras import layers

        pooled = [
            layers.GlobalAveragePooling2D(name=f"pool_{number}")(list(of_trunk.values())[-1])
            for number, of_trunk in enumerate(maps, start=1)
        ]
        joined = pooled if known is None else [*pooled, known]
        return joined[0] if len(joined) == 1 else layers.Concatenate(name="features")(joined)

    def classify(self, features, outputs, *, dropout, seed):
        """The kernel starts at zero: a transferred trunk isn't shaken by a random head. (One layer
        has no symmetry to break.)
        """
        from keras import layers

        first = next(iter(outputs))
        features = layers.Dropout(dropout, seed=seed, name=f"dropout_{first}")(features)
        return {
            name: layers.Dense(labels, kernel_initializer="zeros", name=name)(features)
            for name, labels in outputs.items()
        }
