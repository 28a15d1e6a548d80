"""A network's inputs; those beside the image are scaled by Keras's own layers."""

from collections.abc import Mapping, Sequence

import keras
from keras import layers

from cxrkeras.data.inputs import IMAGE

_CODES = {"sex": 2, "view": 3}
"""How many values an input has that is a code."""
_CENTURY = 100.0  # years


def inputs_of(names: Sequence[str], image_size: int) -> dict[str, keras.KerasTensor]:
    """The symbolic inputs: `image` (N, S, S, 1), grey 0-255, and others (N, 1)."""
    shapes = {IMAGE: (image_size, image_size, 1)}
    return {name: keras.Input(shapes.get(name, (1,)), name=name) for name in names}


def given(model: keras.Model) -> keras.KerasTensor | dict[str, keras.KerasTensor]:
    """What a model takes: its only input, or several as a dictionary by name."""
    named = {tensor.name: tensor for tensor in model.inputs}
    return named if len(named) > 1 else model.inputs[0]


def known_features(inputs: Mapping[str, keras.KerasTensor]) -> keras.KerasTensor | None:
    """What is known beside the image, (N, E) in [0, 1], zeros where it isn't known; None for E = 0.

    The age gives its hundredth of years and whether it is known; a code gives one number for each
    of its values.
    """
    parts = []
    for name, value in inputs.items():
        if name == IMAGE:
            continue
        if name in _CODES:
            parts += [_is(value, code, name) for code in range(_CODES[name])]
        else:
            scaled = layers.Rescaling(1 / _CENTURY, name=f"{name}_scaled")(value)
            parts.append(layers.ReLU(name=name + "_or_zero")(scaled))
            moved = layers.Rescaling(1.0, 1.0, name=f"{name}_above_unknown")(value)
            parts.append(layers.ReLU(max_value=1.0, name=f"{name}_is_known")(moved))
    return layers.Concatenate(name="known")(parts) if parts else None


def _is(value, code: int, name: str):
    """(N, 1): 1 where the value is the code, else 0: relu(1 - relu(v - c) - relu(c - v))."""
    place = f"{name}_{code}"
    above = layers.ReLU(name=f"{place}_above")(
        layers.Rescaling(1.0, -float(code), name=f"{place}_up")(value)
    )
    below = layers.ReLU(name=f"{place}_below")(
        layers.Rescaling(-1.0, float(code), name=f"{place}_down")(value)
    )
    far = layers.Add(name=f"{place}_distance")([above, below])
    near = layers.Rescaling(-1.0, 1.0, name=f"{place}_nearness")(far)
    return layers.ReLU(name=place)(near)
