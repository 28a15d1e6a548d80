"""What is known of an ensemble on images that its members hadn't seen: their scores, combined."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cxrkeras.data.distortion import Distortion, averaged
from cxrkeras.evaluation.evidence.out_of_fold import points_and_calibration
from cxrkeras.evaluation.evidence.performance import HELD_OUT, OUT_OF_FOLD, performance
from cxrkeras.evaluation.evidence.settings import data_of
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions
from cxrkeras.evaluation.scores.selection import Selection, select
from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.predictor.combine import combined, grid_of, terms
from data_prep.files import read_json

FILE, TEST = "predictions.csv", "test_predictions.csv"


@dataclass(frozen=True)
class Evidence:
    """What a member's models say of images that they hadn't seen.

    Args:
        predictions: out of fold, the columns in the ensemble's order.
        training: {fold: `prevalence` and the distortion's facts}.
        test: of the held-out test set, or None.
        data: the prepared dataset, or None.
    """

    predictions: Predictions
    training: dict[str, dict]
    test: Predictions | None
    data: Path | None


def evidence_of(card: Card, labels: Sequence[str]) -> Evidence | None:
    """Of a run, or of an ensemble that was made of runs on the same folds; None for others.

    Args:
        card: of the member.
        labels: the ensemble's.

    Raises:
        UserError: a run's files are damaged.
    """
    home = card.home
    if not card.members or not (home / FILE).is_file():
        return None
    predictions = _ordered(read_predictions(home / FILE), labels)
    test = home / TEST
    held_out = _ordered(read_predictions(test), labels) if test.is_file() else None
    if card.run is not None:
        training = read_json(home / "metrics.json")["training"]
    else:  # what is noted of an ensemble holds for all of its folds
        facts = {"prevalence": card.facts["training_prevalence"]}
        facts |= card.distortion.as_facts(card.labels) if card.distortion else {}
        training = dict.fromkeys(sorted(set(predictions.folds)), facts)
    return Evidence(predictions, training, held_out, card.run and data_of(card.run))


def difference(parts: Sequence[Evidence | None]) -> str:
    """Why members' predictions can't be combined, in words; "" where they can."""
    if any(part is None for part in parts):
        return "not every member is a run with out-of-fold predictions"
    first = _by_image(parts[0].predictions)
    for part in parts[1:]:
        other = _by_image(part.predictions)
        for name, what in (("images", "images"), ("folds", "folds"), ("patients", "patients")):
            if getattr(other, name) != getattr(first, name):
                return f"the members' runs have other {what}"
        if not np.array_equal(other.truth, first.truth, equal_nan=True):
            return "the members' runs have other truth for the same images"
    return ""


def grids_of(part: Evidence, labels: Sequence[str]) -> dict[str, dict]:
    """{label: the ranks of a member's out-of-fold scores}."""
    return {name: grid_of(part.predictions.prob[:, k]) for k, name in enumerate(labels)}


def selected(parts: Sequence[Evidence], how: str, grids: Sequence, metric: str) -> Selection:
    """Members chosen greedily on what they say out of fold; see `together` and `selection`."""
    first, scores = _aligned([part.predictions for part in parts])
    of_members = terms(how, scores, _columns(first, grids))
    return select(first.truth, of_members, np.array(first.folds), first.labels, metric)


def nested(
    parts: Sequence[Evidence], how: str, grids: Sequence, selection: Selection
) -> Predictions:
    """Each fold's out-of-fold scores, combined by the choice that was made on the others."""
    first, scores = _aligned([part.predictions for part in parts])
    folds, prob = np.array(first.folds), np.empty_like(first.prob)
    for fold, counts in selection.by_fold.items():
        rows, taken = folds == fold, np.flatnonzero(counts)
        own = [scores[m][rows] for m in taken]
        chosen = [grids[m] for m in taken] if grids else []
        shares = (counts[taken] / counts.sum()).tolist()
        prob[rows] = combined(how, own, shares, _columns(first, chosen))
    return replace(first, prob=np.clip(prob, 0, 1), ranks_only=how == "ranks")


def together(
    parts: Sequence[Evidence],
    how: str,
    weights: Sequence[float],
    grids: Sequence,
    honest: Predictions | None = None,
) -> tuple[dict, Predictions, Predictions | None]:
    """Operating points, calibration and performance of an ensemble, from its members' evidence.

    The members' out-of-fold scores of an image are combined as their answers are; each fold is
    called at thresholds of the others where that is so in a run.

    Args:
        parts: of the members, between which there is no `difference`.
        how: see `combine.combined`, as the rest.
        weights: of the members.
        grids: for `ranks`, {label: grid} of each member.
        honest: what to score instead of the combined scores, whose weights were chosen on them.

    Returns:
        What `model.json` says of it, and the combined predictions: out of fold, and of the
        held-out test set, where all members have the same.
    """
    own = _combined([part.predictions for part in parts], how, weights, grids)
    tests = [part.test for part in parts]
    held_out = _combined(tests, how, weights, grids) if _one_test_set(tests) else None
    fitted = points_and_calibration(
        replace(own, ranks_only=False),
        {"labels": list(own.labels), "training": _training(parts, weights, own.labels)},
        held_out and replace(held_out, ranks_only=False),
    )
    points, calibration = fitted["operating_points"], fitted["calibration"]
    if how == "ranks":
        points = {
            rule: of for rule, of in points.items() if rule not in ("prevalence", "corrected")
        }
        calibration = None
    where = f"{OUT_OF_FOLD}, the members' scores combined as they are here"
    if honest is not None:
        own = honest
        where = f"{OUT_OF_FOLD}, the members chosen for each fold on the others"
    scored, where = (own, where) if held_out is None else (held_out, f"{HELD_OUT}, as it is here")
    found = performance(scored, parts[0].data, where)
    facts = {"operating_points": points, "calibration": calibration, "performance": found}
    return facts, own, held_out


def _ordered(predictions: Predictions, labels: Sequence[str]) -> Predictions:
    """With the columns in another order, and the rows by image."""
    columns = [predictions.labels.index(name) for name in labels]
    changed = {"prob": predictions.prob[:, columns], "truth": predictions.truth[:, columns]}
    return replace(predictions, labels=tuple(labels), **changed)


def _by_image(predictions: Predictions) -> Predictions:
    order = np.argsort(predictions.images)
    rows = {name: tuple(np.array(getattr(predictions, name))[order].tolist()) for name in _ROWS}
    return replace(
        predictions, **rows, prob=predictions.prob[order], truth=predictions.truth[order]
    )


_ROWS = ("images", "patients", "folds")


def _combined(
    parts: Sequence[Predictions], how: str, weights: Sequence[float], grids: Sequence
) -> Predictions:
    """In the order of the first's rows."""
    first, scores = _aligned(parts)
    prob = np.clip(combined(how, scores, weights, _columns(first, grids)), 0, 1)
    return replace(first, prob=prob, ranks_only=how == "ranks")


def _aligned(parts: Sequence[Predictions]) -> tuple[Predictions, list[np.ndarray]]:
    """The first, and all scores in the order of its rows."""
    first = parts[0]
    row_of = {image: row for row, image in enumerate(first.images)}
    scores = []
    for part in parts:
        rows = np.array([row_of[image] for image in part.images])
        found = np.empty_like(part.prob)
        found[rows] = part.prob
        scores.append(found)
    return first, scores


def _columns(first: Predictions, grids: Sequence) -> list[list[dict]]:
    return [[grid[name] for name in first.labels] for grid in grids]


def _one_test_set(tests: Sequence[Predictions | None]) -> bool:
    if any(test is None for test in tests):
        return False
    return len({_by_image(test).images for test in tests}) == 1


def _training(
    parts: Sequence[Evidence], weights: Sequence[float], labels: Sequence[str]
) -> dict[str, dict]:
    """By fold the members' means."""
    found = {}
    for fold in parts[0].training:
        own = [part.training[fold] for part in parts]
        distortion = averaged([Distortion.from_facts(one, labels) for one in own], weights)
        prevalence = means([one["prevalence"] for one in own], weights, labels)
        found[fold] = {
            "prevalence": prevalence,
            **(distortion.as_facts(labels) if distortion else {}),
        }
    return found


def means(
    tables: Sequence[dict], weights: Sequence[float], labels: Sequence[str]
) -> dict[str, float | None]:
    """{label: the weighted mean of what is known}."""
    values = np.array([[one[name] for name in labels] for one in tables], np.float64)
    known = np.isfinite(values)
    shares = np.where(known, np.array(weights)[:, None], 0)
    total = shares.sum(axis=0)
    mean = np.divide(
        (np.where(known, values, 0) * shares).sum(axis=0),
        total,
        out=np.full(len(labels), np.nan),
        where=total > 0,
    )
    return {
        name: float(value) if np.isfinite(value) else None
        for name, value in zip(labels, mean, strict=True)
    }
