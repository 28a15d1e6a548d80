"""Trunks and heads as one Keras graph, seen three ways: features, logits, probability."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from cxrkeras.models.backbones import Backbone, check_backbones
from cxrkeras.models.heads.pooled import classifier, pooled_features


@dataclass(frozen=True)
class Network:
    """One graph; its models share every weight.

    Args:
        trunks: the nested backbones, in the plan's order.
        features: image (N, S, S, 1), grey 0-255 -> pooled features (N, C).
        logits: the same image -> {head: (N, K_head)}, or (N, 2 K_head) with an uncertain class, as
            the losses take them.
        probability: the same image -> (N, K) for a network of one head, else None.
    """

    trunks: tuple[keras.Model, ...]
    features: keras.Model
    logits: keras.Model
    probability: keras.Model | None


TARGET = "target"


def build_network(
    backbones: tuple[str, ...],
    image_size: int,
    heads: Mapping[str, int],
    *,
    dropout: float = 0.5,
    seed: int = 0,
    three_way: Mapping[str, np.ndarray] | None = None,
) -> Network:
    """A network with a random start.

    Args:
        backbones: one per trunk; the trunks see the same image.
        image_size: the side S in pixels.
        heads: name and number of labels of each head; `{TARGET: K}` for a target model.
        dropout: the heads' dropout rate.
        seed: of every initial weight.
        three_way: (K,) bool for the heads where labels have an uncertain class; it is there for
            training only and no part of `probability`.

    Raises:
        UserError: for an unknown backbone or an image too small for it.
    """
    parts = check_backbones(backbones, image_size)
    keras.utils.set_random_seed(seed)
    image = keras.Input((image_size, image_size, 1), name="image")
    trunks = tuple(
        part.trunk(image_size, name=name) for part, name in zip(parts, _names(parts), strict=True)
    )
    maps = []
    for trunk, part in zip(trunks, parts, strict=True):
        maps.append(trunk(part.scaled(image, trunk=trunk.name)))
    features = pooled_features(maps)
    classified = {
        name: classifier(
            features,
            labels,
            dropout=dropout,
            name=layer_name(name),
            seed=seed,
            three_way=(three_way or {}).get(name),
        )
        for name, labels in heads.items()
    }
    probability = None
    if len(classified) == 1:
        ((logits, _),) = classified.values()
        output = keras.layers.Activation("sigmoid", name="probability")(logits)
        probability = keras.Model(image, output, name="-".join(_names(parts)))
    outputs = {name: output for name, (_, output) in classified.items()}
    return Network(
        trunks=trunks,
        features=keras.Model(image, features, name="pooled"),
        logits=keras.Model(image, outputs, name="logits"),
        probability=probability,
    )


def layer_name(head: str) -> str:
    """The dense layer of a head; `--source image=DIR` must not clash with the layer `image`."""
    return head if head == TARGET else f"head_{head}"


def _names(parts: tuple[Backbone, ...]) -> list[str]:
    """Unique layer names: `densenet121`, `densenet121_2`, …"""
    names = []
    for backbone in (part.part_name() for part in parts):
        count = sum(name.split("#")[0] == backbone for name in names) + 1
        names.append(backbone if count == 1 else f"{backbone}#{count}")
    return [name.replace("#", "_") for name in names]
