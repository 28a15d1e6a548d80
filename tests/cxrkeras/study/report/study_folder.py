"""A study's folder as `cxrkeras study` leaves it, from simulated scores of given quality."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.evaluation.evidence.evidence import write_metrics
from cxrkeras.evaluation.scores.predictions import Predictions, write_predictions

LABELS = ("Cardiac hypertrophy", "Spinal lesions", "Lung patterns")
RATES = np.array([0.1, 0.2, 0.15])
FOLDS = 3
SETTINGS = {
    "ImageNet": ("regular", [["imagenet"]]),
    "NIH": ("regular", [["nih"]]),
    "ImageNet + NIH": ("regular", [["imagenet", "nih"]]),
    "mixed ImageNet | NIH": ("mixed", [["imagenet"], ["nih"]]),
}


def write_study_folder(
    out: Path,
    *,
    backbones=("resnet50", "densenet121"),
    recipes=("finetune",),
    settings=SETTINGS,
    skill=lambda setting, backbone, recipe: 1.0,
    images: int = 240,
    test: int = 60,
    failed: tuple[str, ...] = (),
    weights: str = "imagenet",
) -> Path:
    """Write cells.json and a run for each cell; `skill` is how far positives score above others."""
    truth, people = _truth(images + test)
    cells = []
    for recipe in recipes:
        for backbone in backbones:
            for setting, (method, links) in settings.items():
                name = (
                    f"{recipe}-{backbone}-{setting.lower().replace(' ', '-').replace('<b>|', '')}"
                )
                word = "failed" if name in failed else "done"
                if word == "done":
                    noise = np.random.default_rng(len(cells) + 1).normal(size=truth.shape)
                    scores = skill(setting, backbone, recipe) * truth + noise
                    _run(out / "runs" / name, truth, people, scores, images)
                cells.append(
                    {
                        "name": name,
                        "setting": setting,
                        "backbone": backbone,
                        "recipe": recipe,
                        "method": method,
                        "links": links,
                        "weights": [weights for chain in links if chain[0] == "imagenet"],
                        "word": word,
                        "folds": FOLDS,
                        "reason": "No prepared dataset in data/nih." if word == "failed" else "",
                        "seconds": 100.0 + len(cells),
                    }
                )
    out.mkdir(parents=True, exist_ok=True)
    content = {"format": 1, "title": "small", "cells": cells}
    (out / "cells.json").write_text(json.dumps(content))
    return out


def _truth(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = (rng.random((rows, len(RATES))) < RATES).astype(float)
    return truth, np.arange(rows) // 2


def _run(folder: Path, truth, people, scores, images: int) -> None:
    folder.mkdir(parents=True)
    folds = np.array([str(p % FOLDS) for p in people])
    folds[images:] = "test"
    prob = 1 / (1 + np.exp(1.5 - scores))
    names = tuple(f"images/{i:04d}.png" for i in range(len(truth)))
    patients = tuple(f"p{p:04d}" for p in people)
    rows = {"predictions": np.arange(images), "test_predictions": np.arange(images, len(truth))}
    for name, part in rows.items():
        if len(part):
            keep = [tuple(column[i] for i in part) for column in (names, patients, folds)]
            table = Predictions(*keep, LABELS, prob[part], truth[part])
            write_predictions(folder / f"{name}.csv", table)
    table = pd.DataFrame({"image": names, "patient": patients, "fold": folds})
    table.to_csv(folder / "folds.csv", index=False)
    for fold in range(FOLDS):
        _fold(folder / "folds" / str(fold), fold, truth[folds != str(fold)].mean(axis=0))
    (folder / "stages" / "nih-abc123").mkdir(parents=True)
    (folder / "stages" / "nih-abc123" / "stage.json").write_text('{"seconds": 61.5}')
    (folder / "experiment.toml").write_text("early_stopping = 2\n")
    write_metrics(folder)


def _fold(folder: Path, fold: int, prevalence: np.ndarray) -> None:
    folder.mkdir(parents=True)
    history = {
        "epoch": [1, 2, 3, 4],
        "binary_accuracy": [0.5, 0.7 + fold / 100, 0.8, 0.9],
        "mae": [0.5, 0.3 - fold / 100, 0.2, 0.1],
        "val_loss": [0.9, 0.4, 0.4, 0.6],
    }
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    facts = {
        "training_prevalence": dict(zip(LABELS, prevalence.tolist(), strict=True)),
        "inflation": dict.fromkeys(LABELS, 4.0),
        "images": 100,
        "seconds": 20.0,
    }
    (folder / "fold.json").write_text(json.dumps(facts))
