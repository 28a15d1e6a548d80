"""The members of an ensemble as one Keras model; a shared trunk is in it only once."""

from collections.abc import Sequence

import keras
from keras import layers

from cxrkeras.models.inputs import given


def joined(
    members: Sequence[keras.Model], features: Sequence[keras.KerasTensor | None]
) -> keras.Model:
    """One model: image (N, S, S, 1), grey 0-255 -> probability (N, K), the members' mean.

    Args:
        members: at least one, of equal input and output shapes; their weights are shared with the
            result. What they take beside the image is taken by the result.
        features: where each member's own part begins, on the tensors of a trunk that it shares;
            None where it shares none.
    """
    if len(members) == 1:
        return members[0]
    inputs = new_inputs(members)
    starts = list(features)
    if starts[0] is None or any(other is not starts[0] for other in starts):
        parts = [keras.Model(given(m), m.outputs[0], name=_name(n)) for n, m in enumerate(members)]
        outputs = [part(taken(part, inputs)) for part in parts]
    else:
        trunk = keras.Model(given(members[0]), starts[0], name="trunk")
        start = trunk(taken(trunk, inputs))
        parts = [
            keras.Model(begin, member.outputs[0], name=_name(number))
            for number, (begin, member) in enumerate(zip(starts, members, strict=True))
        ]
        outputs = [part(start) for part in parts]
    return model_of(inputs, layers.Average(name="mean")(outputs))


def new_inputs(models: Sequence[keras.Model]) -> dict[str, keras.KerasTensor]:
    """Inputs for all that some models take, by name; the shapes are those of the first with it."""
    shapes: dict[str, tuple] = {}
    for model in models:
        for tensor in model.inputs:
            shapes.setdefault(tensor.name if len(model.inputs) > 1 else "image", tensor.shape[1:])
    return {name: keras.Input(shape, name=name) for name, shape in shapes.items()}


def taken(model: keras.Model, inputs: dict[str, keras.KerasTensor]):
    """Of named tensors those that a model takes, as it takes them."""
    if len(model.inputs) == 1:
        return inputs["image"]
    return {tensor.name: inputs[tensor.name] for tensor in model.inputs}


def model_of(inputs: dict[str, keras.KerasTensor], output: keras.KerasTensor) -> keras.Model:
    """An ensemble's model from its inputs to its output."""
    return keras.Model(inputs if len(inputs) > 1 else inputs["image"], output, name="ensemble")


def _name(number: int) -> str:
    return f"member_{number}"
