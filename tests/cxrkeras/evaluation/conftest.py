"""Fixtures: a run folder as `cv` leaves it, from simulated scores; realistic but small."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrkeras.data.distortion import Factor
from cxrkeras.evaluation.scores.predictions import Predictions, write_predictions

LABELS = (
    "Aortic sclerosis",
    "Arterial curvature",
    "Abnormal lung fields",
    "Increased lung patterns",
    "Spinal lesions",
    "Pleural thickening",
    "Cardiac hypertrophy",
)
RATES = np.array([0.09, 0.12, 0.03, 0.16, 0.15, 0.035, 0.06])
FOLDS = 5
INFLATION = 9.0


def simulate(seed: int, n: int, patients: int) -> Predictions:
    """Scores of a fair classifier trained with a weighted loss; patients never cross folds."""
    rng = np.random.default_rng(seed)
    person = rng.integers(0, patients, n)
    truth = (rng.random((n, len(LABELS))) < RATES).astype(float)
    spread = np.linspace(2.2, 0.6, len(LABELS))
    evidence = rng.normal(size=truth.shape) + spread * truth
    odds = RATES / (1 - RATES) * np.exp(spread * evidence - spread**2 / 2)
    truth[rng.random(truth.shape) < 0.01] = np.nan
    return Predictions(
        images=tuple(f"images/{seed}-{i:04d}.png" for i in range(n)),
        patients=tuple(f"pseudonym{p:04d}" for p in person),
        folds=tuple(str(p % FOLDS) for p in person),
        labels=LABELS,
        prob=Factor(INFLATION).distort(odds / (1 + odds)),
        truth=truth,
    )


def make_run(
    folder: Path, *, n: int = 546, test: bool = True, data: str = "", seed: int = 1
) -> Path:
    """Write the run folder without `metrics.json`; returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    predictions = simulate(seed, n, 214)
    write_predictions(folder / "predictions.csv", predictions)
    parts = [predictions]
    if test:
        held = simulate(seed + 1, n // 5, 60)
        patients = tuple(f"held{p}" for p in held.patients)
        held = Predictions(
            held.images, patients, ("test",) * len(patients), LABELS, held.prob, held.truth
        )
        write_predictions(folder / "test_predictions.csv", held)
        parts.append(held)
    columns = [(p.images, p.patients, p.folds) for p in parts]
    rows = [row for part in columns for row in zip(*part, strict=True)]
    folds = pd.DataFrame(rows, columns=["image", "patient", "fold"])
    folds.to_csv(folder / "folds.csv", index=False)
    for k in range(FOLDS):
        _fold(folder / "folds" / str(k), k, predictions)
    _history(folder / "stages" / "nih_a", 11, 12)
    (folder / "stages" / "nih_a" / "stage.json").write_text("{}")
    _settings(folder, data)
    return folder


def _fold(folder: Path, k: int, predictions: Predictions) -> None:
    trained = predictions.truth[np.array(predictions.folds) != str(k)]
    _history(folder, k, 10 + k)
    content = {
        "training_prevalence": dict(zip(LABELS, np.nanmean(trained, axis=0).tolist(), strict=True)),
        "inflation": dict.fromkeys(LABELS, INFLATION),
        "images": len(trained),
        "seconds": 61.5,
    }
    (folder / "fold.json").write_text(json.dumps(content))


def _history(folder: Path, seed: int, epochs: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    t = np.arange(epochs)
    noise = rng.normal(0, 0.02, (3, epochs))
    table = pd.DataFrame({"epoch": t})
    table["loss"] = 0.3 + 0.9 * np.exp(-t / 3)
    table["binary_accuracy"] = 0.9 - 0.25 * np.exp(-t / 3)
    table["mae"] = 0.12 + 0.2 * np.exp(-t / 3)
    table["learning_rate"] = np.where(t > epochs * 0.7, 1e-5, 1e-4)
    table["val_loss"] = 0.45 + 0.75 * np.exp(-t / 2.5) + 0.01 * t + noise[0]
    table["val_binary_accuracy"] = 0.87 - 0.2 * np.exp(-t / 3) + noise[1]
    table["val_mae"] = 0.15 + 0.2 * np.exp(-t / 3) + noise[2]
    table.to_csv(folder / "history.csv", index=False)


def _settings(folder: Path, data: str) -> None:
    lines = [
        f'data = "{data}"',
        'method = "cotrain"',
        'recipe = "finetune"',
        'backbone = ["densenet121"]',
        'source = ["imagenet,nih_a=data/nih_a"]',
        'loss = "bw-bce"',
        "image_size = 256",
        "epochs = 30",
        "learning_rate = 1e-4",
        "shuffle_labels = false",
        "seed = 7",
    ]
    (folder / "experiment.toml").write_text("\n".join(lines) + "\n")
    environment = {
        "python": "3.11.9",
        "packages": {"keras": "3.13.0", "numpy": "2.4.0"},
        "cores": 2,
    }
    (folder / "environment.json").write_text(json.dumps(environment))


def make_images(folder: Path, predictions: Predictions, side: int = 32) -> Path:
    """A prepared dataset's images for those predictions: noise, as only their handling counts."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    for name in predictions.images:
        Image.fromarray(rng.integers(0, 255, (side, side), dtype=np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def simulated() -> Predictions:
    """Scores of 300 images of 120 patients in 5 folds; the loss inflated the odds 9-fold."""
    return simulate(3, 300, 120)


@pytest.fixture
def run_of(tmp_path):
    """`run_of(test=..., images=...)` is a run folder without metrics.json and report."""

    def build(*, n: int = 300, test: bool = True, images: bool = False, seed: int = 1) -> Path:
        data = tmp_path / "prepared"
        if images:
            make_images(data, simulate(seed, n, 214))
        return make_run(
            tmp_path / "run", n=n, test=test, data=str(data) if images else "", seed=seed
        )

    return build
