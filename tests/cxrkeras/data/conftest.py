"""Fixtures: a prepared dataset as `prep` leaves it, small, with the pictures of one's choice."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.dataset.copies.signatures import signature
from data_prep.films.film import pixel_digest

LABELS = ("Effusion", "Nodule, small")


def write_dataset(
    root: Path, pictures: list[np.ndarray], codes: list[tuple[str, ...]], labels=LABELS
) -> Path:
    """Write the folder; `codes` are one row of label codes per picture. Two images per patient."""
    (root / "images").mkdir(parents=True)
    known = ("image", "patient", "sha256", "prepared", "signature")
    lines = [",".join((*known, *(f'"{label}"' for label in labels)))]
    for number, (picture, row) in enumerate(zip(pictures, codes, strict=True)):
        Image.fromarray(picture).save(root / "images" / f"{number}.png")
        digest = hashlib.sha256(picture.tobytes()).hexdigest()
        pictured = pixel_digest(picture), signature(picture)
        lines.append(",".join((f"images/{number}.png", f"p{number // 2}", digest, *pictured, *row)))
    (root / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    size = pictures[0].shape[0]
    facts = {"format": 1, "name": "small", "labels": list(labels), "image_size": size}
    (root / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")
    return root


@pytest.fixture
def prepared(tmp_path):
    """A dataset of 5 images of 48 px with every label code."""
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (48, 48), np.uint8) for _ in range(5)]
    codes = [("1", "0"), ("0", "-1"), ("", "1"), ("-1", ""), ("0", "0")]
    return write_dataset(tmp_path / "small", pictures, codes)
