"""From feature maps to logits: what stands on top of the trunks."""

from collections.abc import Callable, Sequence
from functools import partial

import keras
import numpy as np

from cxrkeras.data.labels.entries import MASKED, UNCERTAIN_CLASS
from cxrkeras.models.losses.batch_weighted import NEVER


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

    The kernel starts at zero: a transferred trunk isn't shaken by a random head. (One layer has no
    symmetry to break.) The biases start where `prior_biases` says.

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
        where a label is three-way f and u side by side (N, 2K), see
        `cxrkeras.models.losses.batch_weighted`.
    """
    features = keras.layers.Dropout(dropout, seed=seed, name=f"dropout_{name}")(features)
    dense = partial(keras.layers.Dense, labels, kernel_initializer="zeros")
    logits = dense(name=name)(features)
    if three_way is None or not three_way.any():
        return logits, logits
    uncertain = dense(name=uncertain_name(name))(features)
    uncertain = keras.ops.where(three_way, uncertain, NEVER)
    return logits, keras.layers.Concatenate(name=f"{name}-classes")([logits, uncertain])


def prior_biases(
    name: str,
    targets: Sequence[np.ndarray],
    inflation: Callable[[Sequence[np.ndarray]], np.ndarray],
    *,
    three_way: bool = False,
) -> dict[str, np.ndarray]:
    """Biases at which a `classifier` whose kernel is zero has its smallest loss.

    The logit of every image is then the log odds of its label's share, inflated as the loss does:
    ln(w P / N), with half an entry for a class that is missing, so that it is finite. A bias of 0
    stands for a share of 1 / (1 + w), far from a rare label's: a short fit would not get there, the
    mean of its weights still less, and the corrected threshold, which rests on that optimum, would
    lie below every score.

    Args:
        name: the classifier's.
        targets: (N_j, K) training targets of each part, outside [0, 1] = masked or uncertain. A
            batch holds as many rows of each part.
        inflation: targets -> (K,) the factor w that the loss puts on the odds.
        three_way: whether the classifier has labels with an uncertain class, of which these targets
            may hold no entry: all that are known may be held out.

    Returns:
        {layer: (K,) float64}: the dense layer's, and its neighbour's where there is an uncertain
        class, whose odds stand against the negatives' too.
    """
    biases = {name: _log_odds(targets, inflation)}
    if three_way:
        biases[uncertain_name(name)] = _log_odds([_against(part) for part in targets], inflation)
    return biases


def _against(targets: np.ndarray) -> np.ndarray:
    """The uncertain entries as positives, and the positives as a third class."""
    known = (targets >= 0) & (targets <= 1)
    rest = np.where(known, np.where(targets == 0, 0, UNCERTAIN_CLASS), MASKED)
    return np.where(targets == UNCERTAIN_CLASS, 1, rest)


def _log_odds(
    targets: Sequence[np.ndarray], inflation: Callable[[Sequence[np.ndarray]], np.ndarray]
) -> np.ndarray:
    known = [(part >= 0) & (part <= 1) for part in targets]
    pairs = list(zip(targets, known, strict=True))
    half = 0.5 / max(map(len, targets))
    shares = []
    for values in (
        [np.where(k, y, 0) for y, k in pairs],
        [np.where(k, 1 - y, 0) for y, k in pairs],
    ):
        share = sum(value.mean(axis=0, dtype=np.float64) for value in values)
        shares.append(np.where(share > 0, share, half))
    return np.log(inflation(targets)) + np.log(shares[0] / shares[1])


def uncertain_name(name: str) -> str:
    """The layer of a classifier's uncertain classes, where it has any."""
    return f"{name}-uncertain"
