"""A run as `cv` leaves it and a model as `train` does, small enough to be served in no time."""

import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from cxrkeras.evaluation.scores.predictions import Predictions, write_predictions
from cxrkeras.models.backbones.shared.scaling import SCALINGS, grey_to_colour

LABELS = ("Atelectasis", "Mass", "Ödem & Co")
SIDE = 24
FOLDS = 3
PREPARED = 40


def build(seed: int, side: int = SIDE) -> keras.Model:
    """What our models begin and end with, and two layers between."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((side, side, 1), name="image")
    x = grey_to_colour(image, SCALINGS["torch"])
    x = keras.layers.Conv2D(6, 5, strides=2, activation="relu")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dropout(0.5)(x)
    x = keras.layers.Dense(len(LABELS), name="target", kernel_initializer="he_normal")(x)
    return keras.Model(image, keras.layers.Activation("sigmoid", name="probability")(x))


POINTS = {
    "youden": {
        LABELS[0]: {"threshold": 0.375, "from": "Youden on 90 predictions, 9 positive"},
        LABELS[1]: {"threshold": None, "from": "Youden on 90 predictions: no positive among them"},
        LABELS[2]: {"threshold": 0.0625, "from": "Youden on 90 predictions, 30 positive"},
    }
}


def write_model(folder: Path, seed: int = 0, **facts) -> Path:
    """A model folder; `facts` replace those of its model.json."""
    folder.mkdir(parents=True)
    build(seed, facts.get("image_size", SIDE)).save(folder / "model.keras")
    card = {
        "labels": LABELS,
        "image_size": SIDE,
        "trained_on": "ours",
        "training_prevalence": _prevalence(seed),
        "inflation": _inflation(seed),
        "preparation": {"image_size": PREPARED, "pad": False, "stretch": None},
        "operating_points": POINTS,
        "calibration": None,
    }
    (folder / "model.json").write_text(json.dumps(card | facts), encoding="utf-8")
    return folder


def write_run(
    run: Path, *, frozen: bool = False, noted: bool = True, first: int = 0, **facts
) -> Path:
    """Three folds; with `frozen` their models differ in the dense layer alone.

    `noted`: whether model.json says how images were prepared, as those of older runs don't.
    `first`: the first seed. `facts` replace those of each model.json.
    """
    predictions = simulated(first)
    for k in range(FOLDS):
        _write_fold(run / "folds" / str(k), first + k, frozen=frozen, noted=noted, **facts)
    write_predictions(run / "predictions.csv", predictions)
    rows = zip(predictions.images, predictions.patients, predictions.folds, strict=True)
    pd.DataFrame(rows, columns=["image", "patient", "fold"]).to_csv(run / "folds.csv", index=False)
    training = {
        str(k): {"prevalence": _prevalence(k), "inflation": _inflation(k)} for k in range(FOLDS)
    }
    metrics = {"labels": LABELS, "training": training}
    (run / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    dataset = run.parent / f"{run.name}-data"
    dataset.mkdir()
    described = {"image_size": PREPARED, "pad": True, "stretch": [1, 99]}
    (dataset / "dataset.json").write_text(json.dumps(described))
    (run / "experiment.toml").write_text(f'data = "{dataset}"\n')
    return run


def simulated(seed: int = 0) -> Predictions:
    """90 out-of-fold predictions; of the second label nothing is known."""
    rng = np.random.default_rng(0)
    truth = (rng.random((90, 3)) < 0.3).astype(float)
    rng = np.random.default_rng(100 + seed) if seed else rng  # other scores, the same truth
    prob = np.clip(0.4 + 0.2 * truth + rng.normal(0, 0.1, (90, 3)), 0, 1)
    truth[:, 1] = np.nan
    names = [f"{n}" for n in range(90)]
    return Predictions(
        images=tuple(f"images/{name}.png" for name in names),
        patients=tuple(f"p{name}" for name in names),
        folds=tuple(str(n % FOLDS) for n in range(90)),
        labels=LABELS,
        prob=prob,
        truth=truth,
    )


def _write_fold(folder: Path, k: int, *, frozen: bool, noted: bool, **facts) -> None:
    folder.mkdir(parents=True)
    model = build(0 if frozen else k, facts.get("image_size", SIDE))
    if frozen:
        head = model.get_layer("target")
        rng = np.random.default_rng(k)
        head.set_weights([rng.normal(size=w.shape) for w in head.get_weights()])
    model.save(folder / "model.keras")
    fitted = {"training_prevalence": _prevalence(k), "inflation": _inflation(k)}
    (folder / "fold.json").write_text(json.dumps(fitted), encoding="utf-8")
    card = {"labels": LABELS, "image_size": SIDE, "trained_on": "ours", **fitted}
    if frozen:
        card["frozen"] = {"digest": "0" * 64, "features": "pool"}
    if noted:
        card["preparation"] = {"image_size": PREPARED, "pad": False, "stretch": None}
    (folder / "model.json").write_text(json.dumps(card | facts), encoding="utf-8")


def _prevalence(k: int) -> dict:
    return dict(zip(LABELS, (0.2 + 0.01 * k, None, 0.05), strict=True))


def _inflation(k: int) -> dict:
    return dict.fromkeys(LABELS, 4.0 + k)
