"""Writes a Keras model into a model folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from cxrkeras.data.inputs import check_inputs
from data_prep.files import replacing

_STOCK = ("keras", "builtins", "cxrkeras")


def save_keras(model: keras.Model, folder: Path) -> dict:
    """Write `model.keras` in one step; returns what `model.json` says of it."""
    with replacing(folder / "model.keras", ".keras") as temporary:
        model.save(temporary)
    inputs = check_inputs([tensor.name for tensor in model.inputs])
    package = sorted(set(_modules(keras.saving.serialize_keras_object(model))))
    said = {"inputs": list(inputs)} if len(inputs) > 1 else {}
    return said | ({"package": package} if package else {})


def _modules(config: Any) -> Iterator[str]:
    """The modules of other packages whose classes a saved model names."""
    if isinstance(config, dict):
        module = config.get("module") if "class_name" in config else None
        if module and module.partition(".")[0] not in _STOCK:
            yield module
        config = list(config.values())
    if isinstance(config, list | tuple):
        for each in config:
            yield from _modules(each)
