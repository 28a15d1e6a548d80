"""From feature maps to logits: what stands on top of the trunks."""

from functools import partial

import keras
import numpy as np

from cxrkeras.models.losses import NEVER


def pooled_features(maps: list) -> keras.KerasTensor:
    """Global average pooling of each map, concatenated: [(N, h, w, C_i)] -> (N, sum of C_i).

    The study's integration after pooling: 4096 features of two ResNet50, 2048 of two DenseNet121.
    """
    pooled = [
        keras.layers.GlobalAveragePooling2D(name=f"pool_{number}")(feature_map)
        for number, feature_map in enumerate(maps, start=1)
    ]
    if len(pooled) == 1:
        return pooled[0]
    return keras.layers.Concatenate(name="features")(pooled)


def classifier(
    features,
    labels: int,
    *,
    dropout: float,
    name: str,
    seed: int = 0,
    three_way: np.ndarray | None = None,
) -> tuple:
    """Dropout and a dense layer: (N, C) -> logits (N, K).

    The kernel starts at zero: every first logit is 0, and a transferred trunk isn't shaken by a
    random head. (One layer has no symmetry to break.)

    Args:
        features: symbolic tensor of pooled features.
        labels: the number K of outputs.
        dropout: the rate in [0, 1).
        name: the dense layer's name, also the output's.
        seed: of dropout.
        three_way: (K,) bool, labels with an uncertain class; its logits come from a dense layer of
            their own, `NAME-uncertain`, which only the loss sees.

    Returns:
        The logits f (N, K) of positive against negative, and what the loss takes: f itself, or
        where a label is three-way f and u side by side (N, 2K), see `cxrkeras.models.losses`.
    """
    features = keras.layers.Dropout(dropout, seed=seed, name=f"dropout_{name}")(features)
    dense = partial(keras.layers.Dense, labels, kernel_initializer="zeros")
    logits = dense(name=name)(features)
    if three_way is None or not three_way.any():
        return logits, logits
    uncertain = dense(name=f"{name}-uncertain")(features)
    uncertain = keras.ops.where(three_way, uncertain, NEVER)
    return logits, keras.layers.Concatenate(name=f"{name}-classes")([logits, uncertain])
