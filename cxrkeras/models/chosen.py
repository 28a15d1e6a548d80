"""A trunk's maps by the names that `--features` gives them: strides, or layers."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

import keras

from cxrkeras.models.backbones import Backbone
from cxrkeras.models.backbones.shared.strides import key
from cxrkeras.models.graph import steps
from data_prep.errors import UserError


def chosen_maps(
    trunk: keras.Model, backbone: Backbone, names: Sequence[str]
) -> dict[str, keras.KerasTensor]:
    """The maps of a trunk's own graph, in the order of the names.

    Args:
        trunk: as `Backbone.trunk` returns it.
        backbone: whose it is.
        names: strides in pixels, such as `16`, or layers, such as `block13_sepconv2_act`.

    Returns:
        {name: (N, h, w, C)}.

    Raises:
        UserError: it has no such map.
    """
    strides, layers = backbone.maps(trunk), _layers(trunk)
    return {name: _found(name, strides, layers, backbone) for name in names}


def _found(name: str, strides: dict, layers: dict, backbone: Backbone) -> keras.KerasTensor:
    if name.isdecimal():
        if (stride := key(int(name))) in strides:
            return strides[stride]
        have = ", ".join(str(int(one[1:])) for one in strides)
        raise UserError(
            f"--features: {backbone} has maps of the strides {have}. Received: {name}. Give one "
            "of these, or a layer's name."
        )
    if name in layers:
        return layers[name]
    near = get_close_matches(name, layers, n=3, cutoff=0.4) or list(layers)[-3:]
    hint = f"Near it: {', '.join(near)}" if near else "It names none of its layers"
    raise UserError(
        f"--features takes strides, or layers of the trunk that end in a map (height, width, "
        f"channels) and have a name of their own. {backbone} has no such layer {name!r}. {hint}; "
        f"strides: {', '.join(str(int(one[1:])) for one in strides)}."
    )


def _layers(trunk: keras.Model) -> dict[str, keras.KerasTensor]:
    """{layer: its map}, without layers that Keras numbers anew in each process."""
    found = {}
    for _, outputs, operation in steps(trunk):
        is_map = len(outputs) == 1 and len(outputs[0].shape) == 4
        if is_map and not _is_numbered(operation):
            found[operation.name] = outputs[0]
    return found


def _is_numbered(operation: keras.Operation) -> bool:
    """Whether Keras made the name from the class, `conv2d_3`."""
    kind = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(operation).__name__)
    kind = re.sub("([a-z])([A-Z])", r"\1_\2", kind).lower()
    return re.fullmatch(rf"{kind}(_\d+)?", operation.name) is not None
