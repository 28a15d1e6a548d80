"""Trunks and heads as one Keras graph, seen three ways: features, logits, probability."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np

from cxrkeras.models.architecture import Architecture
from cxrkeras.models.backbones import Backbone
from cxrkeras.models.chosen import chosen_maps
from cxrkeras.models.heads import FULL, TARGET, Head
from cxrkeras.models.inputs import inputs_of, known_features
from cxrkeras.models.losses.shared.entries import NEVER
from cxrkeras.models.precision import FLOAT32, computing_in
from cxrkeras.models.prior import uncertain_name
from cxrkeras.models.views.shared.graph import first_crop, mean_over_crops, view_name
from data_prep.errors import UserError


@dataclass(frozen=True)
class Network:
    """One graph; its models share every weight.

    They take images (N, S, S, 1), grey 0-255, or, if the network has further inputs, a dictionary
    with exactly its inputs. Where it has several views of an image, `features` and `logits` are of
    the first, and `probability` is the mean over all.

    Args:
        trunks: the nested backbones, in order.
        maps: the last feature map (N, h, w, C) of each, or those that were chosen.
        features: inputs -> what the head makes of the maps, pooled features (N, C) for most.
        logits: inputs -> {head: (N, K_head)}, or (N, 2 K_head) with an uncertain class, as the
            losses take them.
        probability: inputs -> (N, K) of the head `TARGET`, or of an only one; else None.
        teaching: where the head is taught, what learns in place of `logits`: inputs, and
            `truth_name(head)` (N, K_head) for each head -> {head: logits}; else None.
    """

    trunks: tuple[keras.Model, ...]
    maps: tuple[keras.KerasTensor, ...]
    features: keras.Model
    logits: keras.Model
    probability: keras.Model | None
    teaching: keras.Model | None = None


class Classified(NamedTuple):
    """What `classifiers` give.

    Args:
        learned: {head: the logits f (N, K) of positive against negative}.
        outputs: {head: what the loss takes}: f itself, or where a label is three-way f and u side
            by side (N, 2K), see `losses.shared.bce`.
        taught: {head: the same as the head is taught}; empty if it isn't.
        truth: {head: (N, K) the symbolic input of what is true, by which it is}.
    """

    learned: dict
    outputs: dict
    taught: dict
    truth: dict

    def teaching(self, inputs: Sequence) -> keras.Model | None:
        """See `Network.teaching`, on these symbolic inputs."""
        if not self.truth:
            return None
        named = {tensor.name: tensor for tensor in (*inputs, *self.truth.values())}
        return keras.Model(named, self.taught, name="teaching")


def build_network(
    architecture: Architecture,
    heads: Mapping[str, int],
    *,
    three_way: Mapping[str, np.ndarray] | None = None,
    names: Sequence[str] | None = None,
) -> Network:
    """Build a network with random weights.

    Its trunks, and heads with weights before their classifiers, compute in Keras's dtype policy;
    scaling, pooling and classifiers in float32.

    Args:
        architecture: see there.
        heads: name and number of labels of each head; `{TARGET: K}` for a target model.
        three_way: (K,) bool for the heads where labels have an uncertain class; it is there for
            training only and no part of `probability`.
        names: of the trunks' layers, if not as `trunk_names` gives them.

    Raises:
        UserError: the image is too small for a backbone, or a head isn't what it says.
    """
    seed = architecture.seed
    keras.utils.set_random_seed(seed)
    inputs = inputs_of(architecture.inputs, architecture.image_size)
    given = inputs if len(inputs) > 1 else inputs["image"]
    names = names or trunk_names(architecture.backbones)
    trunks = tuple(
        backbone.trunk(_side(architecture), name=name)
        for backbone, name in zip(architecture.backbones, names, strict=True)
    )
    seen = first_crop(inputs["image"], architecture.views)
    maps = [
        of_trunk
        for trunk, backbone in zip(trunks, architecture.backbones, strict=True)
        for of_trunk in _maps(trunk, backbone, architecture, seen)
    ]
    head = architecture.head
    with computing_in(FLOAT32) if head.pooled else nullcontext():
        features = head.features(maps, known_features(inputs), seed=seed)
    pooled = keras.Model(given, features, name="pooled")
    _check_pooled(head, pooled, trunks)
    found = classifiers(architecture, features, heads, three_way)
    probability = None
    if len(heads) == 1 or TARGET in heads:
        learned = found.learned
        logits = learned[TARGET] if TARGET in learned else next(iter(learned.values()))
        output = keras.layers.Activation("sigmoid", name="probability")(logits)
        if len(architecture.views.crops(architecture.image_size)) > 1:
            view = keras.Model(
                [*({**inputs, "image": seen}).values()], output, name=view_name(inputs)
            )
            output = mean_over_crops(inputs, view, architecture.views)
        probability = keras.Model(given, output, name="-".join(names))
    return Network(
        trunks=trunks,
        maps=tuple(list(of_trunk.values())[-1] for of_trunk in maps),
        features=pooled,
        logits=keras.Model(given, found.outputs, name="logits"),
        probability=probability,
        teaching=found.teaching(list(inputs.values())),
    )


def _check_pooled(head: Head, features: keras.Model, trunks: Sequence[keras.Model]) -> None:
    """Weights in pooled features would stay random on frozen trunks, without a word."""
    theirs = {id(weight) for trunk in trunks for weight in trunk.trainable_weights}
    if head.pooled and any(id(weight) not in theirs for weight in features.trainable_weights):
        raise UserError(
            f"--head {head} says that its features are pooled, but they have weights of their own. "
            "Set `pooled = False` in its file."
        )


def classifiers(
    architecture: Architecture,
    features,
    heads: Mapping[str, int],
    three_way: Mapping[str, np.ndarray] | None = None,
) -> Classified:
    """The heads' logits on given features.

    Args:
        architecture: see there.
        features: symbolic, as the head takes them.
        heads: see `build_network`.
        three_way: see `build_network`.
    """
    found, part = Classified({}, {}, {}, {}), architecture.head
    how = {"dropout": architecture.dropout, "seed": architecture.seed}
    for head, labels in heads.items():
        name, asked = layer_name(head), (three_way or {}).get(head)
        wanted = {name: labels}
        if asked is not None and asked.any():
            wanted[uncertain_name(name)] = labels
        with computing_in(FLOAT32):
            if part.taught:
                found.truth[head] = keras.Input((labels,), name=truth_name(head))
                logits, taught = part.teach(features, wanted, found.truth[head], **how)
                found.taught[head] = _with_uncertain(taught, name, asked)
            else:
                logits = part.classify(features, wanted, **how)
        found.learned[head] = logits[name]
        found.outputs[head] = _with_uncertain(logits, name, asked)
    return found


def _with_uncertain(logits: Mapping, name: str, asked: np.ndarray | None):
    """An output's logits, beside those of the uncertain class where it has one."""
    if len(logits) == 1:
        return logits[name]
    uncertain = keras.ops.where(asked, logits[uncertain_name(name)], NEVER)
    return keras.layers.Concatenate(name=f"{name}-classes")([logits[name], uncertain])


def truth_name(head: str) -> str:
    """The input of what is true of a head's labels, where it is taught."""
    return f"{layer_name(head)}-truth"


def layer_name(head: str) -> str:
    """The layer that ends a head; `--source image=DIR` must not clash with the layer `image`."""
    return head if head == TARGET else f"head_{head}"


def _maps(trunk: keras.Model, backbone: Backbone, architecture: Architecture, image) -> list[dict]:
    """The maps of an image that the head gets, the last at the end.

    Each that was chosen comes by itself, as if it were a trunk's only one.
    """
    head = architecture.head
    with computing_in(FLOAT32):  # half precision would move pixels by whole steps
        scaled = seen = backbone.scaled(image, trunk=trunk.name)
        if head.shrinks > 1:
            seen = keras.layers.AveragePooling2D(head.shrinks, name=f"shrink_{trunk.name}")(scaled)
    if architecture.features:
        wanted = chosen_maps(trunk, backbone, architecture.features)
        found = keras.Model(trunk.inputs[0], wanted, name=trunk.name)(seen)
        return [{name: found[name]} for name in wanted]
    whole = {FULL: scaled} if FULL in head.strides else {}
    strides = [stride for stride in head.strides if stride != FULL]
    known = backbone.maps(trunk) if strides else {}
    wanted = {stride: known[stride] for stride in strides if stride in known}
    if not wanted:
        return [whole | {"last": trunk(seen)}]
    last = next(reversed(known))
    wanted[last] = known[last]
    found = keras.Model(trunk.inputs[0], wanted, name=trunk.name)(seen)
    return [whole | {stride: found[stride] for stride in wanted}]  # by stride, not as text


def _side(architecture: Architecture) -> int:
    """The side of the image that the trunks see."""
    side, shrinks = architecture.seen, architecture.head.shrinks
    if side % shrinks:
        given = "--image-size" if side == architecture.image_size else "side of --views"
        raise UserError(
            f"--head {architecture.head} makes the image {shrinks} times smaller for the trunks, "
            f"so its side must be a multiple of that. Received: {given} {side}."
        )
    return side // shrinks


def trunk_names(backbones: Sequence[Backbone]) -> list[str]:
    """Unique layer names: `densenet121`, `densenet121_2`, …"""
    names: list[str] = []
    for backbone in backbones:
        name = backbone.part_name()
        count = sum(other.part_name() == name for other in backbones[: len(names)]) + 1
        names.append(name if count == 1 else f"{name}_{count}")
    return names
