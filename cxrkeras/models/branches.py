"""A global branch, a local one that sees what the first looked at, and their fusion: one graph.

Source: Guan et al., Diagnose like a Radiologist: Attention Guided CNN, 2018.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import layers

from cxrkeras.data.inputs import IMAGE
from cxrkeras.models.architecture import WHOLE, Architecture
from cxrkeras.models.heads.gap import Part as Gap
from cxrkeras.models.inputs import given, inputs_of
from cxrkeras.models.network import (
    TARGET,
    Network,
    build_network,
    classifiers,
    trunk_names,
)
from cxrkeras.models.precision import FLOAT32, computing_in
from cxrkeras.models.regions import cropped
from cxrkeras.models.views.shared.graph import first_crop, mean_over_crops, view_name

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
    far = replace(architecture, image_size=architecture.seen, views=WHOLE)
    close = replace(far, inputs=(IMAGE,), seed=far.seed + 1)
    names = trunk_names(far.backbones * 2)
    whole = build_network(far, {GLOBAL: labels})
    part = build_network(close, {LOCAL: labels}, names=names[len(far.backbones) :])
    _tell_apart(part, names)
    look, look_close = _look(whole, "whole"), _look(part, "part")

    inputs = inputs_of(architecture.inputs, architecture.image_size)
    seen = {**inputs, IMAGE: first_crop(inputs[IMAGE], architecture.views)}
    told, *maps = look(_one(seen), training=False)
    region = cropped(seen[IMAGE], maps, tau)
    told_close = look_close(region, training=False)[0]
    with computing_in(FLOAT32):
        both = layers.Concatenate(name="both")([told, told_close])
    fusion = replace(far, head=Gap())
    pooled = {GLOBAL: look(_one(seen))[0], LOCAL: look_close(region)[0]}
    learnt = {
        GLOBAL: classifiers(far, pooled[GLOBAL], {GLOBAL: labels}, asked),
        LOCAL: classifiers(close, pooled[LOCAL], {LOCAL: labels}, asked),
        TARGET: classifiers(fusion, both, {TARGET: labels}, asked),
    }
    steps = {
        name: keras.Model(_one(inputs), found.outputs, name=f"{name}_logits")
        for name, found in learnt.items()
    }
    last = learnt[TARGET].learned
    plain = {
        name: keras.Model(pooled[name], learnt[name].learned[name])(features)
        for name, features in ((GLOBAL, told), (LOCAL, told_close))
    }
    output = layers.Activation("sigmoid", name="probability")(last[TARGET])
    if len(architecture.views.crops(architecture.image_size)) > 1:
        view = keras.Model([*seen.values()], output, name=view_name(inputs))
        output = mean_over_crops(inputs, view, architecture.views)
    return Branches(
        steps=steps,
        held={GLOBAL: (), LOCAL: (look,), TARGET: (look, look_close)},
        trunks=whole.trunks + part.trunks,
        logits=keras.Model(_one(inputs), {**plain, **last}, name="logits"),
        probability=keras.Model(_one(inputs), output, name="-".join(names)),
    )


def _one(inputs: Mapping) -> Any:
    """What a model takes: its only input, or several as a dictionary by name."""
    return dict(inputs) if len(inputs) > 1 else inputs[IMAGE]


def _tell_apart(network: Network, trunks: Sequence[str]) -> None:
    """Rename layers that the other branch has, too: taken apart, both stand in one graph."""
    for layer in network.features.operations:
        if not isinstance(layer, layers.InputLayer) and layer.name not in trunks:
            layer.name = f"{LOCAL}_{layer.name}"


def _look(network: Network, name: str) -> keras.Model:
    """Inputs -> [features, the last map of each trunk]."""
    outputs = [network.features.output, *network.maps]
    return keras.Model(given(network.features), outputs, name=name)
