"""From feature maps to logits: what stands on top of the trunks."""

import keras


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


def classifier(features, labels: int, *, dropout: float, name: str, seed: int = 0):
    """Dropout and a dense layer: (N, C) -> logits (N, K).

    The kernel starts at zero: every first logit is 0, and a transferred trunk isn't shaken by a
    random head. (One layer has no symmetry to break.)

    Args:
        features: symbolic tensor of pooled features.
        labels: the number K of outputs.
        dropout: the rate in [0, 1).
        name: the dense layer's name, also the output's.
        seed: of dropout.
    """
    features = keras.layers.Dropout(dropout, seed=seed, name=f"dropout_{name}")(features)
    return keras.layers.Dense(labels, kernel_initializer="zeros", name=name)(features)
