"""Which differences between a study's cells can be told from chance: paired, by patient."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np

from cxrkeras.evaluation.compare.intervals import (
    LEVEL,
    RESAMPLES,
    SEED,
    difference_interval,
    holm,
    resample,
    score_interval,
)
from cxrkeras.evaluation.compare.resampling import drawn_words, sampling_units
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.predictions import read_predictions
from cxrkeras.study.report.results import RANKING, Cell
from data_prep.errors import UserError

Pair = tuple[Cell, Cell]


@dataclass(frozen=True)
class Family:
    """Comparisons that are read together, so their p-values are corrected together.

    Args:
        key: imagenet, best, backbone, source or combination.
        recipe: the recipe; "" for all.
        pairs: (first, second); a difference is the first's score minus the second's.
    """

    key: str
    recipe: str
    pairs: Sequence[Pair]


def compare_cells(cells: Sequence[Cell]) -> dict | None:
    """Intervals of every finished cell, and the differences that answer the study's questions.

    All cells are scored, from their out-of-fold predictions, on the same bootstrap resamples, of
    whole patients if they are known. That covers the choice of patients, but not that training with
    another seed would give another result.

    Returns:
        `resamples`, `level`, `drawn` (what was resampled, in words), `cells` {name: {out_of_fold,
        test: {auroc, average_precision: {value, low, high}}}} and `families` [{key, recipe, pairs:
        [{first, second, auroc, average_precision: {value, low, high, p, p_holm}}]}]; None without a
        finished cell.

    Raises:
        UserError: cells were scored on different images.
    """
    done = [cell for cell in cells if cell.word == "done"]
    if not done:
        return None
    drawn = {cell.name: _draw(RunFolder(cell.run).predictions) for cell in done}
    tests = {c.name: _draw(RunFolder(c.run).test_predictions) for c in done if c.results["test"]}
    for name, runs in (("predictions.csv", drawn), ("test_predictions.csv", tests)):
        _check_same(name, runs)
    return {
        "resamples": RESAMPLES,
        "level": LEVEL,
        "drawn": next(iter(drawn.values())).of,
        "cells": {
            name: {
                "out_of_fold": _intervals(drawn[name]),
                "test": _intervals(tests[name]) if name in tests else None,
            }
            for name in drawn
        },
        "families": [_family(family, drawn) for family in families(done) if family.pairs],
    }


def _check_same(name: str, runs: Mapping[str, "_Drawn"]) -> None:
    first = next(iter(runs), None)
    for other in runs:
        if runs[other].identity != runs[first].identity:
            raise UserError(
                f"The cells of a study are scored on the same images and labels. {name} differs "
                f"between {first} and {other}. Remove one of the two run folders, and run the "
                "study again."
            )


def families(done: Sequence[Cell]) -> list[Family]:
    """What is compared with what among finished cells."""
    best = best_of(done)
    recipes = list(dict.fromkeys(cell.recipe for cell in done))
    asked = [Family("best", "", [(c, best) for c in done if c is not best] if best else [])]
    for recipe in recipes:
        here = [cell for cell in done if cell.recipe == recipe]
        asked += [
            Family("backbone", recipe, _backbones(here)),
            Family("source", recipe, _sources(here)),
            Family("combination", recipe, _combinations(here)),
            Family("imagenet", recipe, _against_weights(here)),
        ]
    return asked


def best_of(done: Sequence[Cell]) -> Cell | None:
    """The finished cell with the highest out-of-fold macro AUROC; of equals, the first."""
    scored = [c for c in done if c.results["out_of_fold"]["auroc"] is not None]
    return max(scored, key=lambda c: c.results["out_of_fold"]["auroc"], default=None)


def _backbones(cells: Sequence[Cell]) -> list[Pair]:
    return [
        pair for alike in _groups(cells, lambda c: c.setting) for pair in combinations(alike, 2)
    ]


def _sources(cells: Sequence[Cell]) -> list[Pair]:
    single = [cell for cell in cells if cell.is_single]
    return [p for alike in _groups(single, lambda c: c.backbone) for p in combinations(alike, 2)]


def _combinations(cells: Sequence[Cell]) -> list[Pair]:
    """Each combination against its parts alone, and methods against each other."""
    pairs: list[Pair] = []
    for alike in _groups(cells, lambda c: c.backbone):
        combined = [cell for cell in alike if len(cell.sources) > 1]
        alone = [cell for cell in alike if cell.is_single]
        pairs += [(c, a) for c in combined for a in alone if a.sources[0] in c.sources]
        pairs += [
            pair
            for same in _groups(combined, lambda c: frozenset(c.sources))
            for pair in combinations(same, 2)
        ]
    return pairs


def _against_weights(cells: Sequence[Cell]) -> list[Pair]:
    return [
        (cell, reference)
        for alike in _groups(cells, lambda c: c.backbone)
        for reference in [c for c in alike if c.is_weights_alone][:1]
        for cell in alike
        if cell is not reference
    ]


def _groups(cells: Iterable[Cell], key) -> list[list[Cell]]:
    groups: dict = {}
    for cell in cells:
        groups.setdefault(key(cell), []).append(cell)
    return list(groups.values())


@dataclass(frozen=True)
class _Drawn:
    """One run's macro scores: as they are, and on every resample.

    Args:
        identity: identifies the images, patients and truth.
        value: by metric.
        draws: by metric, (B,).
        step: see `score_interval`.
        of: what was resampled, in words.
        freedom: by metric, see `difference_interval`; it depends on the truth alone, so it is the
            same for all runs.
    """

    identity: str
    value: Mapping[str, float]
    draws: Mapping[str, np.ndarray]
    step: float
    of: str
    freedom: Mapping[str, float]


def _draw(path: Path) -> _Drawn:
    stat = path.stat()
    return _drawn(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)
def _drawn(path: Path, _time: int, _size: int) -> _Drawn:
    """One run on every resample; cached, since a study asks again after each cell.

    Runs of the same patients get the same resamples, which pairs them.
    """
    p = read_predictions(path)
    unit = sampling_units(p.images, p.patients)
    scores = resample(p.truth, [p.prob], unit, p.labels, resamples=RESAMPLES, seed=SEED)
    content = hashlib.sha256(json.dumps([p.images, p.patients, p.labels]).encode())
    content.update(p.truth.tobytes())
    means = {metric: scores[metric].macro(0) for metric in RANKING}
    return _Drawn(
        content.hexdigest(),
        {metric: value for metric, (value, _) in means.items()},
        {metric: draws for metric, (_, draws) in means.items()},
        scores["auroc"].macro_step,
        drawn_words(len(set(p.patients) - {""}), int(unit.max()) + 1),
        {metric: scores[metric].freedom for metric in RANKING},
    )


def _intervals(drawn: _Drawn) -> dict:
    return {
        metric: score_interval(drawn.value[metric], drawn.draws[metric], drawn.step, LEVEL)
        for metric in RANKING
    }


def _family(family: Family, drawn: Mapping[str, _Drawn]) -> dict:
    pairs = [{"first": a.name, "second": b.name} for a, b in family.pairs]
    for metric in RANKING:
        parts = [_difference(drawn[a.name], drawn[b.name], metric) for a, b in family.pairs]
        corrected = holm([part["p"] for part in parts])
        for pair, part, p in zip(pairs, parts, corrected, strict=True):
            pair[metric] = {**part, "p_holm": p}
    return {"key": family.key, "recipe": family.recipe, "pairs": pairs}


def _difference(a: _Drawn, b: _Drawn, metric: str) -> dict:
    draws = a.draws[metric] - b.draws[metric]
    value = a.value[metric] - b.value[metric]
    return difference_interval(value, draws, LEVEL, a.freedom[metric])
