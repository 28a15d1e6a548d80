"""A few images with their predictions, right and wrong, chosen by rule and not by taste."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cxrkeras.data.distortion import log_odds
from cxrkeras.evaluation.scores.predictions import Predictions

SIDE = 256  # pixels: enough to recognise, small enough to inline
PER_GROUP = 4
GROUPS = {
    "hit": ("Found", "labelled and positive, with the scores farthest above their threshold"),
    "miss": ("Missed", "labelled but not positive, with the scores farthest below their threshold"),
    "alarm": (
        "False alarms",
        "positive but not labelled, with the scores farthest above their threshold",
    ),
    "rest": ("Rightly quiet", "nothing labelled and nothing positive, with all scores low"),
}


@dataclass(frozen=True)
class Sample:
    """One image of the report. Holds no name and no identifier.

    Attributes:
        picture: the image as a `data:` URL.
        label: the finding in question; None for an image without any.
        score: its score in [0, 1]; the highest of all labels where `label` is None.
        threshold: what the score is held against.
        findings: all labels that the image has.
    """

    picture: str
    label: str | None
    score: float
    threshold: float
    findings: tuple[str, ...]


def choose(predictions: Predictions, thresholds: np.ndarray) -> dict[str, list[tuple[int, int]]]:
    """Rows and label columns to show, by group of `GROUPS`.

    Scores of different labels compare by their odds over the threshold's odds. Each group takes
    every label once before any twice, and no patient (or image) twice.

    Args:
        predictions: N images by K labels.
        thresholds: (N, K); NaN if there is none: such an entry is never shown.

    Returns:
        {group: [(row, column)]}, the most extreme first, up to twice as many as are shown, since an
        image file may be missing.
    """
    excess = log_odds(predictions.prob) - log_odds(thresholds)
    usable = np.isfinite(excess)
    positive, negative = predictions.truth == 1, predictions.truth == 0
    # A label that is unknown, or that has no threshold, counts neither for nor against.
    judged = negative & usable
    quiet = ~(positive | (usable & (excess > 0))).any(axis=1) & judged.any(axis=1)
    worst = np.where(judged, excess, -np.inf).argmax(axis=1)
    top = np.zeros_like(positive)
    top[np.arange(len(top)), worst] = True
    masks = {
        "hit": (positive & usable & (excess > 0), -excess),
        "miss": (positive & usable & (excess <= 0), excess),
        "alarm": (negative & usable & (excess > 0), -excess),
        "rest": (top & quiet[:, None], excess),
    }
    spread = {"hit", "miss", "alarm"}
    return {
        group: _pick(mask, order, predictions, group in spread)
        for group, (mask, order) in masks.items()
    }


def load(
    predictions: Predictions, thresholds: np.ndarray, dataset: Path
) -> list[tuple[str, str, list[Sample]]]:
    """(title, rule, samples) of each group that has an image in the prepared dataset."""
    found = []
    for group, chosen in choose(predictions, thresholds).items():
        samples = []
        for row, column in chosen:
            picture = inline(dataset, predictions.images[row])
            if picture and len(samples) < PER_GROUP:
                samples.append(_sample(predictions, thresholds, row, column, picture, group))
        if samples:
            found.append((*GROUPS[group], samples))
    return found


def _sample(predictions, thresholds, row: int, column: int, picture: str, group: str) -> Sample:
    findings = np.array(predictions.labels)[predictions.truth[row] == 1]
    return Sample(
        picture=picture,
        label=None if group == "rest" else predictions.labels[column],
        score=float(predictions.prob[row, column]),
        threshold=float(thresholds[row, column]),
        findings=tuple(findings.tolist()),
    )


def _pick(mask, order, predictions: Predictions, spread: bool) -> list[tuple[int, int]]:
    rows, columns = np.nonzero(mask)
    sequence = np.argsort(order[rows, columns], kind="stable")
    ranked = [(int(rows[i]), int(columns[i])) for i in sequence]
    if spread:
        seen: dict[int, int] = {}
        turns = []
        for _, column in ranked:
            seen[column] = seen.get(column, -1) + 1
            turns.append(seen[column])
        ranked = [pair for _, pair in sorted(zip(turns, ranked, strict=True), key=lambda t: t[0])]
    chosen, people = [], set()
    for row, column in ranked:
        person = predictions.patients[row] or predictions.images[row]
        if person not in people and len(chosen) < 2 * PER_GROUP:
            people.add(person)
            chosen.append((row, column))
    return chosen


def inline(dataset: Path, image: str) -> str | None:
    """A prepared image, small, as a `data:` URL; None if it isn't there or can't be read."""
    path = (dataset / image).resolve()
    if not path.is_relative_to(dataset.resolve()) or not path.is_file():
        return None
    try:
        with Image.open(path) as opened:
            grey = opened.convert("L")
    except (OSError, ValueError):
        return None
    grey.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    grey.save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode("ascii")
