"""Writes a Keras model into a model folder."""

from pathlib import Path

import keras

from cxrkeras.data.inputs import check_inputs
from data_prep.files import replacing


def save_keras(model: keras.Model, folder: Path) -> dict:
    """Write `model.keras` in one step; returns what `model.json` says of it."""
    with replacing(folder / "model.keras", ".keras") as temporary:
        model.save(temporary)
    inputs = check_inputs([tensor.name for tensor in model.inputs])
    return {"inputs": list(inputs)} if len(inputs) > 1 else {}
