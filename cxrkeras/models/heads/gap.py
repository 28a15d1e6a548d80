"""Global average pooling, dropout and a dense layer; features of several trunks side by side.

Source: Huang et al., Diagnostics 2022; heat maps are exact on it (Zhou et al., CVPR 2016).
"""

from typing import ClassVar

from cxrkeras.models.heads.shared.dense import DenseHead, side_by_side


class Part(DenseHead):
    """The study's head: 4096 features of two ResNet50, 2048 of two DenseNet121."""

    pooled: ClassVar[bool] = True

    def features(self, maps, known, *, seed):
        """(N, sum of C): each trunk's last map averaged, then the further inputs."""
        from keras import layers

        pooled = [
            layers.GlobalAveragePooling2D(name=f"pool_{number}")(list(of_trunk.values())[-1])
            for number, of_trunk in enumerate(maps, start=1)
        ]
        return side_by_side(pooled, known)
