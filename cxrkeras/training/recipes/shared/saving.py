"""Writes a Keras model into a model folder."""

from pathlib import Path

import keras

from data_prep.files import replacing


def save_keras(model: keras.Model, folder: Path) -> dict:
    """Write `model.keras` in one step; returns what `model.json` says of it."""
    with replacing(folder / "model.keras", ".keras") as temporary:
        model.save(temporary)
    inputs = [tensor.name for tensor in model.inputs]
    return {"inputs": inputs} if len(inputs) > 1 else {}
