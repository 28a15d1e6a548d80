"""The HDF5 files of Keras 2, weights alone or a whole model; read with h5py, without Keras 2.

Layout: the attribute `layer_names`; a group per layer with the attribute `weight_names`, under
which the arrays stand. A whole model has this in the group `model_weights`, and its architecture as
JSON in the attribute `model_config`. Attributes over 64 kB are cut into `layer_names0`, …
"""

import json
from pathlib import Path

import h5py
import numpy as np

from cxrkeras.models.importing.state import State
from data_prep.errors import UserError


def read_keras_h5(path: Path) -> State:
    """The weights of a Keras 2 file, under `LAYER/VARIABLE`.

    Args:
        path: a file of `save_weights` or `save`.

    Raises:
        UserError: for a damaged file, one of Keras 3, or one without weights.
    """
    try:
        with h5py.File(path, "r") as file:
            store = file.get("model_weights", file)
            layers = _names(store, "layer_names")
            if not layers:
                raise UserError(_no_keras_2(file, path))
            tensors = {}
            for layer in layers:
                tensors.update(_of_layer(store[layer], layer))
            return State("keras", tensors, tuple(layers), _last_activation(file))
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{path} can't be read as an HDF5 file of Keras 2 ({type(error).__name__}). "
            "Download it again."
        ) from error


def _no_keras_2(file: h5py.File, path: Path) -> str:
    if "layers" in file or "_layer_checkpoint_dependencies" in file:
        return f"{path} is Keras 3's own: it needs no import. Use it: --source {path}."
    return f"{path} holds no weights of Keras 2 (no layer_names). Give a file of save_weights()."


def _of_layer(group: h5py.Group, layer: str) -> dict[str, np.ndarray]:
    """One layer, or the layers of a model that is nested as one."""
    names = _names(group, "weight_names")
    # A shared name scope can add a suffix to a layer's own weights (`conv1_1/kernel:0` in `conv1`).
    nested = len({_parent(name) for name in names}) > 1
    return {
        f"{_parent(name) if nested else layer}/{_variable(name)}": group[name][...]
        for name in names
    }


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


def _variable(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(":0")


def _names(group: h5py.Group, attribute: str) -> list[str]:
    whole = group.attrs.get(attribute)
    chunks = [whole] if whole is not None else []
    while not len(chunks) or whole is None:
        chunk = group.attrs.get(f"{attribute}{len(chunks)}")
        if chunk is None:
            break
        chunks.append(chunk)
    return [
        name.decode() if isinstance(name, bytes) else str(name)
        for chunk in chunks
        for name in chunk
    ]


def _last_activation(file: h5py.File) -> str | None:
    """Of the last dense layer, from the architecture's JSON; nothing is built from it."""
    try:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
        dense = [layer["config"] for layer in layers if layer["class_name"] == "Dense"]
        return dense[-1]["activation"] if dense else None
    except (KeyError, TypeError, ValueError):
        return None
