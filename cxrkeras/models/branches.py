"""A global branch, a local one that sees what the first looked at, and their fusion: one graph.

Source: Guan et al., Diagnose like a Radiologist: Attention Guided CNN, 2018.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
from keras import layers

from cxrkeras.data.inputs import IMAGE
from cxrkeras.models.architecture import Architecture
from cxrkeras.models.heads.gap import Part as Gap
from cxrkeras.models.inputs import given
from cxrkeras.models.network import (
    TARGET,
    Network,
    build_network,
    classifiers,
    layer_name,
    trunk_names,
)
from cxrkeras.models.precision import FLOAT32, computing_in
from cxrkeras.models.regions import cropped

GLOBAL, LOCAL = "global", "local"


@dataclass(frozen=True)
class Branches:
    """Three networks on common weights; each takes the whole image, as `Network` does.

    Args:
        steps: inputs -> {name: logits} of `GLOBAL`, `LOCAL` and `TARGET`, which is the fusion. What
            a later one takes from an earlier is computed as in prediction, whoever trains it.
        held: by the same names, what the training of each leaves as it is.
        trunks: the nested backbones, those of the global branch first.
        logits: inputs -> all three logits by name, (N, K) each.
        probability: inputs -> (N, K), the fusion's.
    """

    steps: Mapping[str, keras.Model]
    held: Mapping[str, tuple[keras.Model, ...]]
    trunks: tuple[keras.Model, ...]
    logits: keras.Model
    probability: keras.Model


def build_branches(
    architecture: Architecture,
    labels: int,
    tau: float,
    three_way: np.ndarray | None = None,
) -> Branches:
    """Build both branches and their fusion with random weights.

    Both have the architecture's backbones and head. Further inputs join the global branch alone.
    The fusion is a dense layer on what both pooled, whatever the head.

    Args:
        architecture: of each branch; its head's features must be (N, C).
        labels: K.
        tau: see `regions.cropped`.
        three_way: (K,) bool, see `build_network`.

    Raises:
        UserError: see `build_network`; or the maps are too fine, see `regions.cropped`.
    """
    asked = None if three_way is None else dict.fromkeys((GLOBAL, LOCAL, TARGET), three_way)
    close = replace(architecture, inputs=(IMAGE,), seed=architecture.seed + 1)
    own = len(architecture.backbones)
    names = trunk_names(architecture.backbones * 2)
    whole = build_network(architecture, {GLOBAL: labels}, three_way=asked)
    part = build_network(close, {LOCAL: labels}, three_way=asked, names=names[own:])
    _tell_apart(part, names)
    looks = {GLOBAL: _look(whole, "whole"), LOCAL: _look(part, "part")}
    inputs = given(whole.features)
    seen, *maps = looks[GLOBAL](inputs, training=False)
    crop = cropped(inputs[IMAGE] if isinstance(inputs, dict) else inputs, maps, tau)

    _, local = classifiers(close, looks[LOCAL](crop)[0], {LOCAL: labels}, asked)
    close_up = looks[LOCAL](crop, training=False)[0]
    with computing_in(FLOAT32):
        both = layers.Concatenate(name="both")([seen, close_up])
    last, fused = classifiers(replace(architecture, head=Gap()), both, {TARGET: labels}, asked)
    steps = {
        GLOBAL: whole.logits,
        LOCAL: keras.Model(inputs, local, name="local_logits"),
        TARGET: keras.Model(inputs, fused, name="fused_logits"),
    }
    plain = {
        name: steps[name].get_layer(layer_name(name))(features)
        for name, features in ((GLOBAL, seen), (LOCAL, close_up))
    }
    output = layers.Activation("sigmoid", name="probability")(last[TARGET])
    return Branches(
        steps=steps,
        held={GLOBAL: (), LOCAL: (looks[GLOBAL],), TARGET: (*looks.values(),)},
        trunks=whole.trunks + part.trunks,
        logits=keras.Model(inputs, {**plain, **last}, name="logits"),
        probability=keras.Model(inputs, output, name="-".join(names)),
    )


def _tell_apart(network: Network, trunks: Sequence[str]) -> None:
    """Rename layers that the other branch has, too: taken apart, both stand in one graph."""
    for layer in network.features.operations:
        if not isinstance(layer, layers.InputLayer) and layer.name not in trunks:
            layer.name = f"{LOCAL}_{layer.name}"


def _look(network: Network, name: str) -> keras.Model:
    """Inputs -> [features, the last map of each trunk]."""
    outputs = [network.features.output, *network.maps]
    return keras.Model(given(network.features), outputs, name=name)
