"""A model folder as `cxrkeras train` writes it, small enough to export in seconds."""

import json
from pathlib import Path

import keras
import numpy as np

from cxrkeras.models.trunks import GreyToBackbone

LABELS = ("Atelectasis", "Mass", "Ödem & Co")
SIDE = 24
POINTS = {
    "youden": {
        "Atelectasis": {"threshold": 0.375, "from": "Youden on 90 predictions, 9 positive"},
        "Mass": {"threshold": None, "from": "Youden on 90 predictions: no positive among them"},
        "Ödem & Co": {"threshold": 0.0625, "from": "Youden on 90 predictions, 30 positive"},
    }
}


def build(seed: int) -> keras.Model:
    """Our models in small: scaling, convolution, normalisation, pooling, dense, sigmoid."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = GreyToBackbone("torch")(image)
    x = keras.layers.Conv2D(6, 5, strides=2, activation="relu")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.5)(x)
    x = keras.layers.Dense(len(LABELS), name="target", kernel_initializer="he_normal")(x)
    return keras.Model(image, keras.layers.Activation("sigmoid", name="probability")(x))


def write_model_folder(folder: Path, seed: int = 0, **preparation) -> Path:
    """`model.keras` and `model.json`."""
    folder.mkdir(parents=True)
    build(seed).save(folder / "model.keras")
    rng = np.random.default_rng(seed)
    facts = {
        "labels": LABELS,
        "image_size": SIDE,
        "trained_on": "ours",
        "training_prevalence": dict(zip(LABELS, (0.2, None, 0.05), strict=True)),
        "inflation": dict.fromkeys(LABELS, 4.5 + rng.uniform()),
        "preparation": {"image_size": 40, "pad": False, "stretch": None, **preparation},
        "operating_points": POINTS,
        "calibration": None,
    }
    (folder / "model.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder
