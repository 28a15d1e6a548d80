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
from cxrkeras.models.weights.bounds import open_hdf5
from data_prep.errors import UserError

_AGAIN = "Download it again."


def read_keras_h5(path: Path) -> State:
    """The weights of a Keras 2 file, under `LAYER/VARIABLE`.

    Args:
        path: a file of `save_weights` or `save`.

    Raises:
        UserError: for a damaged file, one of Keras 3, or one without weights.
    """
    try:
        with open_hdf5(path, path) as file:
            return _read(file, path)
    except UserError:
        raise
    except Exception as error:  # HDF5 and its binding raise whatever damaged bytes lead to
        raise UserError(
            f"{path} can't be read as an HDF5 file of Keras 2 ({type(error).__name__}). {_AGAIN}"
        ) from error


def _read(file: h5py.File, path: Path) -> State:
    store = file.get("model_weights", file)
    layers = _names(store, "layer_names")
    if not layers:
        raise UserError(_no_keras_2(file, path))
    tensors = {}
    for layer in layers:
        if not isinstance(group := store.get(layer), h5py.Group):
            raise UserError(f"{path}: the layer {layer!r} isn't a group of weights. {_AGAIN}")
        tensors.update(_of_layer(group, layer, path))
    return State("keras", tensors, tuple(layers), _last_activation(file))


def _no_keras_2(file: h5py.File, path: Path) -> str:
    if "layers" in file or "_layer_checkpoint_dependencies" in file:
        return f"{path} is Keras 3's own: it needs no import. Use it: --source {path}."
    return f"{path} holds no weights of Keras 2 (no layer_names). Give a file of save_weights()."


def _of_layer(group: h5py.Group, layer: str, path: Path) -> dict[str, np.ndarray]:
    """One layer, or the layers of a model that is nested as one."""
    names = _names(group, "weight_names")
    for name in names:
        if not isinstance(group.get(name), h5py.Dataset):
            raise UserError(f"{path}: the weight {name!r} of {layer!r} isn't an array. {_AGAIN}")
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
    found = [name for chunk in chunks for name in np.ravel(chunk).tolist()]
    if not all(isinstance(name, str | bytes) for name in found):
        raise ValueError(f"{attribute} must be names")
    return [name.decode() if isinstance(name, bytes) else name for name in found]


def _last_activation(file: h5py.File) -> str | None:
    """Of the last dense layer, from the architecture's JSON; nothing is built from it."""
    try:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
        dense = [layer["config"] for layer in layers if layer["class_name"] == "Dense"]
        return dense[-1]["activation"] if dense else None
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
