"""A model's features as a second output of one forward pass."""

from collections.abc import Sequence

import keras

from cxrkeras.models.graph import source, steps
from cxrkeras.models.inputs import given
from cxrkeras.models.views.shared.graph import VIEW, view_name


def feature_layers(features: keras.Model) -> tuple[str, ...]:
    """The layers that end a network's features, see `Network.features`; none if they can't be told.

    Args:
        features: inputs -> a tensor, or several.
    """
    ends = [source(tensor)[0] for tensor in features.outputs]
    alone = len({id(end) for end in ends}) == len(ends)
    known = alone and all(2 <= len(tensor.shape) <= 4 for tensor in features.outputs)
    return tuple(end.name for end in ends) if known else ()


def with_features(model: keras.Model, layers: Sequence[str]) -> keras.Model | None:
    """The model with its features before its answer: inputs -> [(N, C) float32, (N, K)].

    Maps (N, h, w, C) and tokens (N, T, C) are averaged over places, several tensors joined, and
    where the model answers for several crops of an image their mean is taken.

    Args:
        model: a model's `model.keras`, loaded.
        layers: the names of those that end its features.

    Returns:
        None where the model has no such layers.
    """
    made = {step.operation.name: step for step in steps(model)}
    if not layers:
        return None
    if all(name in made for name in layers):
        found = [_pooled(made[name].outputs[0]) for name in layers]
        features = found[0] if len(found) == 1 else keras.ops.concatenate(found, axis=-1)
        return keras.Model(given(model), [keras.ops.cast(features, "float32"), model.outputs[0]])
    view = made.get(view_name([VIEW])) or made.get(VIEW)
    nested = None if view is None else with_features(view.operation, layers)
    if nested is None:
        return None
    crops = len(source(view.inputs[0])[1])
    named = zip(view.operation.inputs, view.inputs, strict=True)
    told = nested(
        {one.name: tensor for one, tensor in named} if len(view.inputs) > 1 else view.inputs[0]
    )
    return keras.Model(given(model), [_mean(one, crops) for one in told])


def _pooled(tensor: keras.KerasTensor) -> keras.KerasTensor:
    places = tuple(range(1, len(tensor.shape) - 1))
    return keras.ops.mean(tensor, axis=places) if places else tensor


def _mean(tensor: keras.KerasTensor, crops: int) -> keras.KerasTensor:
    split = keras.ops.reshape(tensor, (crops, -1, tensor.shape[-1]))
    return keras.ops.mean(split, axis=0)
