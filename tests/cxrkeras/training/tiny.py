"""Prepared datasets of 48-pixel pictures with visible findings."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from data_prep.dataset.copies.signatures import signature
from data_prep.films.film import pixel_digest

SIDE = 48
FINDINGS = ("disc", "bar", "frame")


def write_dataset(
    root: Path, labels=("disc", "bar"), *, images: int = 36, seed: int = 0, per_patient: int = 2
) -> Path:
    """A prepared dataset; image n belongs to patient n // per_patient.

    The last row of the table is uncertain about the first label, the one before says nothing of it.
    """
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    rows = []
    for number in range(images):
        present = {finding: int(rng.random() < 0.4) for finding in FINDINGS}
        pixels = draw(present, rng)
        name = f"images/{number:03d}.png"
        Image.fromarray(pixels).save(root / name)
        codes = {label: str(present.get(label, 0)) for label in labels}
        patient = hashlib.sha256(f"{seed} {number // per_patient}".encode()).hexdigest()[:16]
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        pictured = {"prepared": pixel_digest(pixels), "signature": signature(pixels)}
        rows.append({**_row(name, patient, digest), **pictured, **codes})
    rows[-1][labels[0]], rows[-2][labels[0]] = "-1", ""
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)
    facts = {"format": 1, "name": root.name, "labels": list(labels), "image_size": SIDE}
    (root / "dataset.json").write_text(json.dumps(facts))
    return root


def draw(present: dict[str, int], rng: np.random.Generator) -> np.ndarray:
    """(SIDE, SIDE) uint8: dark noise, each finding bright at a place of its own."""
    pixels = rng.integers(0, 60, (SIDE, SIDE))
    y, x = np.mgrid[:SIDE, :SIDE]
    if present["disc"]:
        pixels[(y - 14 - rng.integers(4)) ** 2 + (x - 14 - rng.integers(4)) ** 2 < 50] += 190
    if present["bar"]:
        top = 30 + rng.integers(6)
        pixels[top : top + 6, 8:40] += 90
    if present["frame"]:
        pixels[:, :3] += 150
        pixels[:, -3:] += 150
    return pixels.astype(np.uint8)


def _row(name: str, patient: str, digest: str) -> dict[str, str]:
    row = dict.fromkeys(("study", "view", "sex", "age", "split"), "")
    return {"image": name, "patient": patient, **row, "source_id": name, "sha256": digest}
